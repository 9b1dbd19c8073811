use ray_core::prelude::*;

struct OpenError;

#[actor]
struct File;

#[remote]
impl File {
    pub fn new(path: String) -> Result<Self, OpenError> {
        if path.is_empty() {
            Err(OpenError)
        } else {
            Ok(File)
        }
    }
}

fn main() {}
