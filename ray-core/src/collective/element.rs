//! The types whose values collective calls move and reduce.

use ray_engine::collective::{Reduce, Scalar};

/// A number that collective calls can move and reduce: `f32`, `f64` or `i32`.
pub trait Element: sealed::Element {}

impl<T: sealed::Element> Element for T {}

mod sealed {
    use super::{Reduce, Scalar};

    pub trait Element: bytemuck::Pod {
        const SCALAR: Scalar;
        const HAS_MEAN: bool;

        /// Reduces `others` into `own`, place by place.
        fn reduce(reduce: Reduce, own: &mut [Self], others: &[Self]);

        /// Makes means of sums over `count` values.
        fn divide(sums: &mut [Self], count: u32);
    }
}

/// Applies `f` place by place; a loop that the compiler makes wide.
fn combine<T: Copy>(own: &mut [T], others: &[T], f: impl Fn(T, T) -> T) {
    for (own, other) in own.iter_mut().zip(others) {
        *own = f(*own, *other);
    }
}

macro_rules! float {
    ($float:ty, $scalar:ident) => {
        impl sealed::Element for $float {
            const SCALAR: Scalar = Scalar::$scalar;
            const HAS_MEAN: bool = true;

            fn reduce(reduce: Reduce, own: &mut [Self], others: &[Self]) {
                match reduce {
                    Reduce::Sum | Reduce::Mean => combine(own, others, |a, b| a + b),
                    Reduce::Product => combine(own, others, |a, b| a * b),
                    // Not a number wins, in whichever order the members come.
                    Reduce::Min => {
                        combine(own, others, |a, b| if a < b || a.is_nan() { a } else { b })
                    }
                    Reduce::Max => {
                        combine(own, others, |a, b| if a > b || a.is_nan() { a } else { b })
                    }
                }
            }

            fn divide(sums: &mut [Self], count: u32) {
                let count = count as $float;
                sums.iter_mut().for_each(|sum| *sum /= count);
            }
        }
    };
}

float!(f32, F32);
float!(f64, F64);

impl sealed::Element for i32 {
    const SCALAR: Scalar = Scalar::I32;
    const HAS_MEAN: bool = false;

    fn reduce(reduce: Reduce, own: &mut [i32], others: &[i32]) {
        match reduce {
            Reduce::Sum | Reduce::Mean => combine(own, others, i32::wrapping_add),
            Reduce::Product => combine(own, others, i32::wrapping_mul),
            Reduce::Min => combine(own, others, i32::min),
            Reduce::Max => combine(own, others, i32::max),
        }
    }

    fn divide(_: &mut [i32], _: u32) {
        unreachable!("a mean of integers is refused before the call");
    }
}

#[cfg(test)]
mod tests {
    use super::{Reduce, sealed::Element as _};

    fn reduced<const N: usize>(reduce: Reduce, own: [f32; N], others: [f32; N]) -> [f32; N] {
        let mut own = own;
        f32::reduce(reduce, &mut own, &others);
        own
    }

    #[test]
    fn each_reduction_does_what_its_name_says() {
        let (a, b) = ([1.5, -2.0], [4.0, 3.0]);
        assert_eq!(reduced(Reduce::Sum, a, b), [5.5, 1.0]);
        assert_eq!(reduced(Reduce::Product, a, b), [6.0, -6.0]);
        assert_eq!(reduced(Reduce::Min, a, b), [1.5, -2.0]);
        assert_eq!(reduced(Reduce::Max, a, b), [4.0, 3.0]);
        let mut sums = reduced(Reduce::Mean, a, b);
        f32::divide(&mut sums, 2);
        assert_eq!(sums, [2.75, 0.5]);
        let mut wraps = [i32::MAX];
        i32::reduce(Reduce::Sum, &mut wraps, &[1]);
        assert_eq!(wraps, [i32::MIN]);
    }

    #[test]
    fn not_a_number_wins_from_either_side() {
        for reduce in [Reduce::Min, Reduce::Max] {
            let both = reduced(reduce, [f32::NAN, 1.0], [1.0, f32::NAN]);
            assert!(both.iter().all(|value| value.is_nan()), "{reduce}");
        }
    }
}
