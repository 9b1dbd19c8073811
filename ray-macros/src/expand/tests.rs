//! What the macros write, as far as it can be seen without compiling it.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::{Item, ItemConst, ItemImpl, ItemStruct};

use super::*;

fn remote_on(attr: TokenStream, item: TokenStream) -> Vec<Item> {
    let item = syn::parse2(item).expect("the item parses");
    items(remote(attr, item))
}

fn actor_on(attr: TokenStream, item: TokenStream) -> Vec<Item> {
    let item = syn::parse2(item).expect("the item parses");
    items(super::actor(attr, &item))
}

fn items(tokens: TokenStream) -> Vec<Item> {
    let text = tokens.to_string();
    syn::parse2::<syn::File>(tokens)
        .unwrap_or_else(|error| panic!("{error} in {text}"))
        .items
}

fn structs(items: &[Item]) -> Vec<&ItemStruct> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Struct(item) => Some(item),
            _ => None,
        })
        .collect()
}

fn consts(items: &[Item]) -> Vec<&ItemConst> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Const(item) => Some(item),
            _ => None,
        })
        .collect()
}

/// The `impl` blocks inside the hidden constants.
fn impls(items: &[Item]) -> Vec<ItemImpl> {
    consts(items)
        .iter()
        .filter_map(|item| match &*item.expr {
            syn::Expr::Block(block) => Some(block.block.stmts.clone()),
            _ => None,
        })
        .flatten()
        .filter_map(|statement| match statement {
            syn::Stmt::Item(Item::Impl(item)) => Some(item),
            _ => None,
        })
        .collect()
}

fn errors(items: &[Item]) -> Vec<String> {
    items
        .iter()
        .filter(|item| {
            matches!(item, Item::Macro(item)
            if item.mac.path.segments.last().is_some_and(|last| last.ident == "compile_error"))
        })
        .map(|item| item.to_token_stream().to_string())
        .collect()
}

fn text(items: &[Item]) -> String {
    items
        .iter()
        .map(|item| item.to_token_stream().to_string())
        .collect()
}

fn square() -> TokenStream {
    quote!(
        #[doc = " Squares."]
        #[cfg(feature = "maths")]
        pub(crate) fn square(x: i64) -> i64 {
            x * x
        }
    )
}

#[test]
fn a_function_stays_as_it_was_written() {
    let written: Item = syn::parse2(square()).expect("it parses");
    let items = remote_on(quote!(num_cpus = 2), square());
    assert_eq!(items[0], written);
}

#[test]
fn a_stub_has_the_name_and_the_visibility_of_its_function() {
    let items = remote_on(quote!(), square());
    let stub = structs(&items)[0];
    assert_eq!(stub.ident, "square");
    assert_eq!(stub.vis, syn::parse_quote!(pub(crate)));
}

#[test]
fn a_stub_can_be_given_another_name() {
    let items = remote_on(quote!(stub = square_task), square());
    assert_eq!(structs(&items)[0].ident, "square_task");
}

#[test]
fn everything_generated_is_under_the_cfg_of_its_function() {
    let cfg: syn::Attribute = syn::parse_quote!(#[cfg(feature = "maths")]);
    let items = remote_on(quote!(), square());
    assert_eq!(items.len(), 3);
    assert!(structs(&items)[0].attrs.contains(&cfg));
    assert!(consts(&items)[0].attrs.contains(&cfg));
}

#[test]
fn everything_generated_is_under_the_cfg_of_its_actor() {
    let cfg: syn::Attribute = syn::parse_quote!(#[cfg(feature = "maths")]);
    let items = actor_on(
        quote!(max_concurrency = 2),
        quote!(
            #[cfg(feature = "maths")]
            struct Counter;
        ),
    );
    assert!(structs(&items).iter().all(|item| item.attrs.contains(&cfg)));
    assert!(consts(&items).iter().all(|item| item.attrs.contains(&cfg)));
    assert_eq!(consts(&items).len(), 3, "the class and two assertions");
}

#[test]
fn docs_of_a_task_stand_on_both_ways_to_call_it() {
    let doc: syn::Attribute = syn::parse_quote!(#[doc = " Squares."]);
    let items = remote_on(quote!(), square());
    let documented = impls(&items)
        .iter()
        .flat_map(|block| block.items.clone())
        .filter(|item| matches!(item, syn::ImplItem::Fn(item) if item.attrs.contains(&doc)))
        .count();
    assert_eq!(documented, 2);
}

#[test]
fn docs_and_cfgs_of_a_method_stand_on_its_handle() {
    let items = remote_on(
        quote!(),
        quote!(
            impl path::Counter {
                #[doc = " Adds."]
                #[cfg(test)]
                #[inline]
                pub fn add(&mut self, by: i64) -> i64 {
                    by
                }
            }
        ),
    );
    let constant = consts(&items)[0];
    assert_eq!(
        model_cfgs(&constant.attrs),
        [syn::parse_quote!(#[cfg(test)])]
    );
    let impls = impls(&items);
    let handle = &impls[0];
    assert_eq!(
        handle.self_ty,
        syn::parse_quote!(path::CounterHandle),
        "the handle stands beside its actor"
    );
    let syn::ImplItem::Fn(add) = &handle.items[0] else {
        panic!("the handle has a function");
    };
    assert_eq!(add.sig.ident, "add");
    assert_eq!(add.attrs, [syn::parse_quote!(#[doc = " Adds."])]);
}

fn model_cfgs(attrs: &[syn::Attribute]) -> Vec<syn::Attribute> {
    crate::model::named(attrs, &["cfg"])
}

#[test]
fn a_private_method_gets_no_stub() {
    let items = remote_on(
        quote!(),
        quote!(
            impl Counter {
                fn helper(&self) {}
                pub(crate) fn inside(&self) {}
                const STEP: i64 = 1;
            }
        ),
    );
    assert_eq!(items.len(), 1, "{}", text(&items));
}

#[test]
fn the_id_of_a_function_hashes_where_it_stands_and_its_signature() {
    let items = remote_on(quote!(), square());
    let text = text(&items);
    for part in [
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
        "CARGO_CRATE_NAME",
        "module_path",
        "file",
        "line",
        "column",
        "\"(x : i64) -> i64\"",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn after_an_error_the_item_and_stubs_to_call_are_still_there() {
    let items = remote_on(
        quote!(num_cpu = 1),
        quote!(
            unsafe fn total(&(a, _): &(i64, i64), names: Vec<String>) -> i64 {
                a
            }
        ),
    );
    assert!(matches!(items[0], Item::Fn(_)));
    assert_eq!(errors(&items).len(), 4, "{:?}", errors(&items));
    let text = text(&items);
    assert!(text.contains("names : impl :: ray_core :: __private :: IntoArg < Vec < String > >"));
    assert!(
        !text.contains("METHODS"),
        "what is refused is not in the table"
    );
}

#[test]
fn a_variadic_function_is_refused() {
    let items = remote_on(
        quote!(),
        quote!(
            unsafe extern "C" fn total(count: i64, _: ...) -> i64 {
                count
            }
        ),
    );
    let errors = errors(&items);
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[2].contains("cannot be variadic"), "{errors:?}");
}

#[test]
fn a_wrong_option_leaves_a_whole_task() {
    let items = remote_on(quote!(num_cpu = 1), square());
    assert_eq!(errors(&items).len(), 1);
    assert!(text(&items).contains("METHODS"));
}

#[test]
fn a_method_that_is_refused_keeps_a_quiet_stub_and_the_others_stay_whole() {
    let items = remote_on(
        quote!(),
        quote!(
            impl Counter {
                pub fn new() -> Self {
                    Counter
                }
                pub fn name(&self) -> &str {
                    ""
                }
                pub fn value(&self) -> i64 {
                    1
                }
            }
        ),
    );
    assert_eq!(errors(&items).len(), 1);
    assert_eq!(consts(&items).len(), 3);
    let text = text(&items);
    assert_eq!(text.matches(":: METHODS").count(), 2);
    assert!(
        text.contains("pub fn name (& self ,) -> :: ray_core :: __private :: ObjectRef < String >")
    );
}

#[test]
fn attributes_of_methods_are_taken_off_even_where_the_block_is_refused() {
    let items = remote_on(
        quote!(),
        quote!(
            impl<T> Counter<T> {
                #[method(max_retries = 2)]
                pub fn value(&self) -> i64 {
                    1
                }
            }
        ),
    );
    assert_eq!(errors(&items).len(), 1);
    assert!(!text(&items).contains("max_retries"));
}

#[test]
fn two_constructors_are_one_when_a_cfg_chooses() {
    let items = remote_on(
        quote!(),
        quote!(
            impl Counter {
                #[cfg(unix)]
                pub fn new() -> Self {
                    Counter
                }
                #[cfg(not(unix))]
                pub fn new() -> Self {
                    Counter
                }
            }
        ),
    );
    assert_eq!(errors(&items), Vec::<String>::new());
}

#[test]
fn async_methods_beside_the_constructor_make_the_actor_stay_on_one_thread() {
    for (method, hosting) in [
        (
            quote!(
                pub async fn get(&self) {}
            ),
            "OneThread",
        ),
        (
            quote!(
                pub fn get(&self) {}
            ),
            "SharedByThreads",
        ),
        (
            quote!(
                async fn private(&self) {}
            ),
            "SharedByThreads",
        ),
    ] {
        let items = remote_on(
            quote!(),
            quote!(
                impl Counter {
                    pub fn new() -> Self {
                        Counter
                    }
                    #method
                }
            ),
        );
        assert!(text(&items).contains(hosting), "{method}");
    }
}

#[test]
fn a_recursive_type_omits_the_bounds_of_the_fields_that_hold_it() {
    let recursive = data::expand(&syn::parse_quote!(
        enum Tree {
            Leaf(i64),
            Node(Vec<Tree>),
        }
    ))
    .to_string();
    assert_eq!(recursive.matches("omit_bounds").count(), 1);
    assert!(recursive.contains("serialize_bounds"));
    let plain = data::expand(&syn::parse_quote!(
        struct Step {
            by: i64,
        }
    ))
    .to_string();
    assert!(!plain.contains("omit_bounds"));
    assert!(!plain.contains("serialize_bounds"));
}

#[test]
fn helper_attributes_of_other_derives_are_not_copied() {
    let copy = data::expand(&syn::parse_quote!(
        #[serde(rename_all = "lowercase")]
        enum Mode {
            #[default]
            Fast,
            Slow(#[serde(skip)] i64),
        }
    ))
    .to_string();
    assert!(!copy.contains("serde"), "{copy}");
    assert!(!copy.contains("default"), "{copy}");
}

#[test]
fn a_function_that_streams_has_one_result_which_tells_how_it_ended() {
    let items = remote_on(
        quote!(backpressure = 4),
        quote!(
            fn rows(n: u64) -> impl Iterator<Item = Result<Row, Fault>> {
                std::iter::empty()
            }
        ),
    );
    assert_eq!(errors(&items), Vec::<String>::new());
    let text = text(&items);
    assert!(text.contains(":: ray_core :: __private :: ObjectRefStream <"));
    assert!(text.contains("streams : true"));
    assert!(text.contains("returns : 1u16"));
    assert!(text.contains("backpressure : :: core :: option :: Option :: Some (4u32)"));
    assert!(
        text.contains("\"(n : u64) -> impl Iterator < Item = Result < Row , Fault > >\""),
        "its id hashes the signature as written"
    );
}

#[test]
fn a_method_that_returns_a_stream_makes_the_actor_stay_on_one_thread() {
    let items = remote_on(
        quote!(),
        quote!(
            impl Counter {
                pub fn new() -> Self {
                    Counter
                }
                pub fn counts(&self) -> impl Stream<Item = u64> {
                    counts()
                }
            }
        ),
    );
    let text = text(&items);
    assert!(text.contains("OneThread"));
    assert!(text.contains("AsyncShared"));
}

#[test]
fn groups_stand_in_the_class_and_each_method_is_held_to_them() {
    let items = actor_on(
        quote!(concurrency_groups(io = 2)),
        quote!(
            struct Counter;
        ),
    );
    let class = text(&items);
    assert!(
        class.contains("concurrency_groups : & [(\"io\" , 2u32)]"),
        "{class}"
    );
    assert!(class.contains("assert_threaded"));
    let items = remote_on(
        quote!(),
        quote!(
            impl Counter {
                #[method(concurrency_group = "io")]
                pub fn load(&self) {}
            }
        ),
    );
    assert!(text(&items).contains("assert_group"));
}
