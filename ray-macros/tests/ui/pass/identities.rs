//! Each function has an id of its own, and the table knows what was written.
use ray_core::{__private::METHODS, prelude::*};

mod left {
    use ray_core::prelude::*;

    #[remote]
    pub fn same(x: i64) -> i64 {
        x
    }
}

mod right {
    use ray_core::prelude::*;

    #[remote]
    pub fn same(x: i64) -> i64 {
        x
    }
}

fn first() {
    #[remote]
    fn inner(x: i64) -> i64 {
        x
    }
    let _ = inner;
}

fn second() {
    #[remote]
    fn inner(x: i64) -> i64 {
        x
    }
    let _ = inner;
}

macro_rules! twice {
    ($first:ident, $second:ident) => {
        mod $first {
            use ray_core::prelude::*;

            #[remote]
            pub fn made(x: i64) -> i64 {
                x
            }
        }

        mod $second {
            use ray_core::prelude::*;

            #[remote]
            pub fn made(x: i64) -> i64 {
                x
            }
        }
    };
}

twice!(one, two);

#[cfg(any())]
#[remote]
fn absent(x: NoSuchType) -> i64 {
    x
}

#[remote]
#[cfg(any())]
fn absent_below(x: NoSuchType) -> i64 {
    x
}

#[remote]
#[cfg(all())]
fn present(x: i64) -> i64 {
    x
}

#[actor]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    #[cfg(any())]
    pub fn absent(&self, x: NoSuchType) {}

    #[cfg(all())]
    #[method(max_retries = 2)]
    pub fn same(&self) -> u8 {
        1
    }
}

fn main() {
    first();
    second();
    let mut names = METHODS
        .iter()
        .filter(|method| method.package != "ray-core")
        .map(|method| method.name)
        .collect::<Vec<_>>();
    names.sort_unstable();
    // Nothing of what a `cfg` takes away is in the table.
    assert_eq!(
        names,
        [
            "Counter::new",
            "Counter::same",
            "inner",
            "inner",
            "made",
            "made",
            "present",
            "same",
            "same"
        ]
    );
    let mut ids = METHODS.iter().map(|method| method.id).collect::<Vec<_>>();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), METHODS.len(), "two functions have one id");
    let same = METHODS
        .iter()
        .find(|method| method.name == "Counter::same")
        .expect("it is in the table");
    assert_eq!(same.defaults.max_retries, Some(2));
    assert_eq!(same.module, module_path!());
    assert!(same.file.ends_with("identities.rs"));
    assert_eq!(same.returns, 1);
}
