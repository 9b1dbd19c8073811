use std::rc::Rc;

use ray_core::prelude::*;

struct Config;

#[actor]
struct Counter {
    name: String,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Self {
            name: String::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn set(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    pub fn convert<T: From<String>>(&self) -> T {
        self.name.clone().into()
    }

    pub fn shared(&self) -> Rc<String> {
        Rc::new(self.name.clone())
    }

    pub fn run(&self, then: impl Fn()) {
        then();
    }

    pub unsafe fn unchecked(&self) {}

    pub fn itself(&mut self) -> &mut Self {
        self
    }
}

fn main() {
    let counter: CounterHandle = Counter::remote();
    let _: ObjectRef<()> = counter.set("a");
}
