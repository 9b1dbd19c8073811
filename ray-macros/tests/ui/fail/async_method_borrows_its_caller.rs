//! A future that borrows beyond its call.
use ray_core::prelude::*;

#[actor]
struct Cache {
    pages: Vec<String>,
}

#[remote]
impl Cache {
    pub fn new() -> Self {
        Self { pages: Vec::new() }
    }

    pub async fn page(&self, key: &str) -> &String {
        self.pages.iter().find(|page| *page == key).unwrap()
    }

    pub async fn keep(&mut self, values: &'static Archived<Vec<String>>) {
        self.pages.clear();
        let _ = values;
    }
}

fn main() {
    let cache = Cache::remote();
    let _: ObjectRef<String> = cache.page("a");
    let _: ObjectRef<()> = cache.keep(vec!["a".to_owned()]);
}
