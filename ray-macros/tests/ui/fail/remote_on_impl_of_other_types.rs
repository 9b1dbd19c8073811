use ray_core::prelude::*;

#[remote]
impl [u8] {
    pub fn size(&self) -> usize {
        self.len()
    }
}

#[remote]
impl (i64, i64) {
    #[method(max_retries = 2)]
    pub fn sum(&self) -> i64 {
        self.0 + self.1
    }
}

fn main() {}
