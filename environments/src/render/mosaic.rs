//! Several pictures side by side in one.

use crate::{EnvError, Frame};

/// Puts pictures of one size into rows and columns, so that the whole is about as wide as `aspect` times its height.
///
/// Every row has as many as the others.
///
/// # Errors
/// Frames that are no pictures, of different sizes, or none.
pub fn mosaic(frames: &[Frame], aspect: f64) -> Result<Frame, EnvError> {
    let pictures = frames.iter().map(|frame| match frame {
        Frame::Rgb {
            width,
            height,
            pixels,
        } => Some((*width as usize, *height as usize, pixels)),
        _ => None,
    });
    let refused = |reason: &str| EnvError::NotSupported(format!("no mosaic is made: {reason}"));
    let pictures = pictures.collect::<Option<Vec<_>>>();
    let pictures = pictures.ok_or_else(|| refused("a frame is no picture"))?;
    let Some((width, height, _)) = pictures.first().copied() else {
        return Err(refused("there are no frames"));
    };
    let is_of_size = |(w, h, pixels): &(usize, usize, &Vec<u8>)| {
        (*w, *h, pixels.len()) == (width, height, width * height * 3)
    };
    if !pictures.iter().all(is_of_size) {
        return Err(refused("the pictures differ in size"));
    }
    let columns = columns(pictures.len(), width as f64 / height.max(1) as f64, aspect);
    let rows = pictures.len() / columns;
    let line = columns * width * 3;
    let mut pixels = vec![0; rows * height * line];
    for (at, (_, _, picture)) in pictures.iter().enumerate() {
        let corner = (at / columns) * height * line + (at % columns) * width * 3;
        for (y, row) in picture.chunks_exact((width * 3).max(1)).enumerate() {
            pixels[corner + y * line..][..row.len()].copy_from_slice(row);
        }
    }
    let size = |pixels: usize| u32::try_from(pixels).map_err(|error| refused(&error.to_string()));
    Ok(Frame::Rgb {
        width: size(columns * width)?,
        height: size(rows * height)?,
        pixels,
    })
}

/// Returns in how many columns the whole comes nearest to the aspect.
fn columns(count: usize, of_one: f64, aspect: f64) -> usize {
    let distance = |columns: &usize| {
        let rows = count / *columns;
        (*columns as f64 * of_one / rows as f64 - aspect).abs()
    };
    let full = (1..=count).filter(|columns| count.is_multiple_of(*columns));
    let nearest = full.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(color: u8) -> Frame {
        Frame::Rgb {
            width: 1,
            height: 1,
            pixels: vec![color; 3],
        }
    }

    #[test]
    fn pictures_lie_row_by_row_in_the_wanted_shape() {
        let frames = [one(1), one(2), one(3), one(4)];
        let Ok(Frame::Rgb {
            width,
            height,
            pixels,
        }) = mosaic(&frames, 1.0)
        else {
            panic!("it is a picture");
        };
        assert_eq!((width, height), (2, 2));
        assert_eq!(pixels, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
        let wide = mosaic(&frames, 4.0);
        assert!(matches!(
            wide,
            Ok(Frame::Rgb {
                width: 4,
                height: 1,
                ..
            })
        ));
    }

    #[test]
    fn what_makes_no_mosaic_says_why() {
        let tall = Frame::Rgb {
            width: 1,
            height: 2,
            pixels: vec![0; 6],
        };
        for (frames, reason) in [
            (vec![], "no frames"),
            (vec![one(1), tall], "differ in size"),
            (vec![Frame::Ansi("a".into())], "no picture"),
        ] {
            let error = mosaic(&frames, 1.0).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
