use ray_core::prelude::*;

#[actor]
struct Buffer<T> {
    items: Vec<T>,
}

#[actor]
struct View<'a> {
    text: &'a str,
}

#[actor]
struct Fixed<const N: usize>
where
    [u8; N]: Sized,
{
    bytes: [u8; N],
}

fn main() {
    fn keep(_: &BufferHandle, _: &ViewHandle, _: &FixedHandle) {}
}
