use ray_core::prelude::*;

#[remote]
fn text(text: &str) -> usize {
    text.len()
}

#[remote]
fn slice(values: &[f32]) -> usize {
    values.len()
}

#[remote]
fn vector(values: &Vec<f32>) -> usize {
    values.len()
}

#[remote]
fn exclusive(values: &mut Vec<f32>) {
    values.clear();
}

#[remote]
fn dynamic(shown: &dyn std::fmt::Display) -> String {
    shown.to_string()
}

#[remote]
fn reference(value: &ObjectRef<i64>) -> bool {
    value.is_ready()
}

fn main() {
    let _: ObjectRef<usize> = text::remote("a");
    let _: ObjectRef<usize> = slice::remote(vec![1.0_f32]);
}
