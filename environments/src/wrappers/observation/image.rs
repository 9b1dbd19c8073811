//! Pictures without their colors, or of another size.

use super::{MapObservation, ObservationMap, array_of, box_of, refused};
use crate::{Array, ArrayData, BoxSpace, Dtype, Env, EnvError, Space, Value, render::AreaResize};

/// Shows how bright the pixels are.
#[derive(Clone, Copy, Debug)]
pub struct Grayscale {
    height: usize,
    width: usize,
    keeps_dimension: bool,
}

/// An environment whose pictures are gray.
///
/// Brightness is 0.2125 red + 0.7154 green + 0.0721 blue, rounded down.
pub type GrayscaleObservation<E> = MapObservation<E, Grayscale>;

impl<E: Env> GrayscaleObservation<E> {
    /// Shows pictures `[height, width, 3]` as `[height, width]`.
    ///
    /// # Errors
    /// Observations that are no such pictures of bytes.
    pub fn new(inner: E) -> Result<GrayscaleObservation<E>, EnvError> {
        match picture_shape(inner.observation_space(), "GrayscaleObservation")?[..] {
            [height, width, 3] => Ok(MapObservation {
                inner,
                map: Grayscale {
                    height,
                    width,
                    keeps_dimension: false,
                },
            }),
            _ => Err(refused("GrayscaleObservation", "pictures of three colors")),
        }
    }

    /// Shows them as `[height, width, 1]`.
    pub fn keep_dimension(mut self) -> GrayscaleObservation<E> {
        self.map.keeps_dimension = true;
        self
    }
}

impl Grayscale {
    fn shape(&self) -> Vec<usize> {
        match self.keeps_dimension {
            true => vec![self.height, self.width, 1],
            false => vec![self.height, self.width],
        }
    }
}

impl ObservationMap for Grayscale {
    const NAME: &'static str = "grayscale";

    fn space(&self) -> Space {
        BoxSpace::uniform(0.0, 255.0, &self.shape(), Dtype::U8).into()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let pixels = bytes_of(&observation, self.height * self.width * 3)?;
        let brightness = |pixel: &[u8; 3]| {
            let [red, green, blue] = pixel.map(f64::from);
            (0.2125 * red + 0.7154 * green + 0.0721 * blue) as u8
        };
        let gray = pixels.as_chunks::<3>().0.iter().map(brightness).collect();
        picture(self.shape(), gray)
    }
}

/// Shows pictures in another size, each pixel the mean of the area that it covers.
#[derive(Clone, Debug)]
pub struct Resize {
    from: Vec<usize>,
    height: usize,
    width: usize,
    area: AreaResize,
}

/// An environment whose pictures have another size, each pixel the mean of the area that it covers.
pub type ResizeObservation<E> = MapObservation<E, Resize>;

impl<E: Env> ResizeObservation<E> {
    /// Shows pictures `[_, _]` or `[_, _, channels]` with `height` rows of `width` pixels.
    ///
    /// # Errors
    /// Observations that are no such pictures of bytes, or a size of 0.
    pub fn new(inner: E, height: usize, width: usize) -> Result<ResizeObservation<E>, EnvError> {
        let from = picture_shape(inner.observation_space(), "ResizeObservation")?;
        if !matches!(from.len(), 2 | 3) || height == 0 || width == 0 || from.contains(&0) {
            return Err(refused("ResizeObservation", "pictures, and a size above 0"));
        }
        let channels = from.get(2).copied().unwrap_or(1);
        let area = AreaResize::new([from[0], from[1]], [height, width], channels);
        Ok(MapObservation {
            inner,
            map: Resize {
                from,
                height,
                width,
                area,
            },
        })
    }
}

impl Resize {
    fn shape(&self) -> Vec<usize> {
        [&[self.height, self.width], &self.from[2..]].concat()
    }
}

impl ObservationMap for Resize {
    const NAME: &'static str = "resize";

    fn space(&self) -> Space {
        BoxSpace::uniform(0.0, 255.0, &self.shape(), Dtype::U8).into()
    }

    fn map(&mut self, observation: Value) -> Result<Value, EnvError> {
        let pixels = bytes_of(&observation, self.from.iter().product())?;
        picture(self.shape(), self.area.bytes(pixels))
    }
}

pub(super) fn picture_shape(space: Space, wrapper: &str) -> Result<Vec<usize>, EnvError> {
    let space = box_of(space, wrapper)?;
    let are_bytes = (0..space.len()).all(|at| space.bounds(at) == (0.0, 255.0));
    match are_bytes && space.dtype == Dtype::U8 {
        true => Ok(space.shape),
        false => Err(refused(wrapper, "bytes from 0 to 255")),
    }
}

pub(super) fn bytes_of(observation: &Value, len: usize) -> Result<&[u8], EnvError> {
    match array_of(observation)?.data() {
        ArrayData::U8(bytes) if bytes.len() == len => Ok(bytes),
        _ => Err(EnvError::Broken(
            "it shows a picture that is not in its space".into(),
        )),
    }
}

pub(super) fn picture(shape: Vec<usize>, bytes: Vec<u8>) -> Result<Value, EnvError> {
    let picture = Array::new(shape, ArrayData::U8(bytes));
    Ok(picture.expect("one byte a pixel").into())
}
