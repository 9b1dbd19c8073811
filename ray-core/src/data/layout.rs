//! What a type looks like, as a number: two builds that mean different types by one name notice it.
//!
//! `#[derive(Data)]` leaves the text of each type in a list. The number of a type stands for its name, its
//! size, its text and the texts of the types of its fields, so a field that changes its type or its place
//! changes it, however deep it lies. A type without parameters knows its fields' types by their full names; one
//! with parameters is known by its own text and by what its parameters are.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    hash::{Hash as _, Hasher as _},
    sync::OnceLock,
};

use rustc_hash::{FxHashMap, FxHasher};

/// A type as `#[derive(Data)]` saw it.
pub struct TypeLayout {
    /// The module that it is declared in, or inside a function of.
    pub module: &'static str,
    /// Its name, without parameters.
    pub name: &'static str,
    /// Its declaration, without documentation.
    pub text: &'static str,
    /// The full names of its fields' types.
    pub fields: fn() -> Vec<&'static str>,
}

/// Every type that was derived, from all crates of the executable.
#[allow(
    unsafe_code,
    reason = "linkme gathers the entries through a link section"
)]
#[linkme::distributed_slice]
pub static LAYOUTS: [TypeLayout];

fn by_name() -> &'static FxHashMap<&'static str, Vec<&'static TypeLayout>> {
    static TABLE: OnceLock<FxHashMap<&'static str, Vec<&'static TypeLayout>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table: FxHashMap<_, Vec<_>> = FxHashMap::default();
        for layout in LAYOUTS {
            table.entry(layout.name).or_default().push(layout);
        }
        table
    })
}

/// Adds the texts of all derived types that a type's name mentions, and of those that they hold.
fn gather(name: &str, texts: &mut BTreeSet<(&'static str, &'static str)>) {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let is_inside = |path: &str, module: &str| {
        path.strip_prefix(module)
            .is_some_and(|rest| rest.starts_with("::"))
    };
    for path in name.split(|c| !is_part(c)).filter(|path| !path.is_empty()) {
        let last = path.rsplit("::").next().unwrap_or(path);
        let Some(named) = by_name().get(last) else {
            continue;
        };
        for layout in named {
            if is_inside(path, layout.module) && texts.insert((layout.module, layout.text)) {
                for field in (layout.fields)() {
                    gather(field, texts);
                }
            }
        }
    }
}

thread_local! {
    /// The numbers that this thread has made, by where the type's name lies, and its size.
    static KNOWN: RefCell<FxHashMap<(usize, usize, usize), u64>> = RefCell::default();
}

/// Returns a number that stands for the type, never 0.
pub(crate) fn layout<T: rkyv::Archive>() -> u64 {
    let name = std::any::type_name::<T>();
    let key = (name.as_ptr().addr(), name.len(), size_of::<T::Archived>());
    KNOWN.with_borrow_mut(|known| {
        *known.entry(key).or_insert_with(|| {
            let mut texts = BTreeSet::new();
            gather(name, &mut texts);
            let mut hasher = FxHasher::default();
            name.hash(&mut hasher);
            size_of::<T::Archived>().hash(&mut hasher);
            align_of::<T::Archived>().hash(&mut hasher);
            texts.hash(&mut hasher);
            hasher.finish() | 1
        })
    })
}

#[cfg(test)]
#[allow(
    unsafe_code,
    reason = "linkme gathers the types of these tests through a link section"
)]
mod tests {
    use super::*;
    use crate::Data;

    #[derive(Data)]
    struct Outer {
        #[allow(dead_code, reason = "only its type matters")]
        inner: Vec<Inner>,
    }

    #[derive(Data)]
    struct Inner {
        #[allow(dead_code, reason = "only its type matters")]
        reward: f64,
    }

    #[derive(Data)]
    struct Pair<T: Data> {
        #[allow(dead_code, reason = "only its type matters")]
        both: (T, T),
    }

    fn texts_of<T>() -> String {
        let mut texts = BTreeSet::new();
        gather(std::any::type_name::<T>(), &mut texts);
        format!("{texts:?}")
    }

    #[test]
    fn a_type_stands_for_the_types_that_it_holds() {
        assert!(
            texts_of::<Outer>().contains("reward : f64"),
            "{}",
            texts_of::<Outer>()
        );
        assert!(texts_of::<Option<(u8, Outer)>>().contains("reward : f64"));
        assert!(texts_of::<Pair<Inner>>().contains("reward : f64"));
        assert!(!texts_of::<Pair<u8>>().contains("reward"));
        assert_eq!(texts_of::<Vec<u8>>(), "{}");
    }

    #[test]
    fn one_type_has_one_number_and_two_have_two() {
        assert_eq!(layout::<Outer>(), layout::<Outer>());
        assert_ne!(layout::<Outer>(), layout::<Inner>());
        assert_ne!(layout::<Vec<u8>>(), layout::<Vec<i8>>());
        assert_ne!(layout::<u32>(), layout::<f32>());
    }

    #[test]
    fn a_type_inside_a_function_is_found() {
        #[derive(Data)]
        struct Local {
            #[allow(dead_code, reason = "only its type matters")]
            inner: Inner,
        }
        assert!(texts_of::<Local>().contains("reward : f64"));
    }
}
