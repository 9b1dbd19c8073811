use ray_core::prelude::*;

struct Page(String);

#[remote]
async fn fetch(url: String) -> Page {
    Page(url)
}

fn main() {}
