//! Environments that every process of a program knows, because they are compiled in.

use std::sync::Once;

use environments::{EnvSpec, MakeError, register};

/// The specs of [`register_env!`](crate::register_env), gathered by the linker.
#[allow(
    unsafe_code,
    reason = "linkme gathers the entries through a link section"
)]
#[linkme::distributed_slice]
pub static ENVIRONMENTS: [fn() -> EnvSpec];

/// Makes an environment of one's own known by its id in every process of the program.
///
/// It takes the path of a function that returns the spec. Worker processes are the same executable, so what is
/// compiled in is there too, as tasks and actors are; `environments::register` tells only the process that calls
/// it. A library that is used only for its environments needs `use library as _;`.
///
/// ```no_run
/// use environments::{EnvSpec, envs::CartPole};
/// use ray_rl::actors::RemoteVectorEnv;
///
/// fn short_pole() -> EnvSpec {
///     EnvSpec::new("mine/ShortPole-v0", |_| Ok(CartPole::unlimited())).max_episode_steps(50)
/// }
///
/// ray_rl::register_env!(short_pole);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _ray = ray_core::init()?;
///     let envs = RemoteVectorEnv::builder("mine/ShortPole-v0", 64).workers(2).build()?;
/// #   Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! register_env {
    ($spec:path) => {
        const _: () = {
            #[allow(
                unsafe_code,
                reason = "linkme gathers the entries through a link section"
            )]
            #[$crate::__private::linkme::distributed_slice($crate::__private::ENVIRONMENTS)]
            #[linkme(crate = $crate::__private::linkme)]
            static ENVIRONMENT: fn() -> $crate::environments::EnvSpec = $spec;
        };
    };
}

/// Tells this process's registry of the environments that are compiled in.
///
/// # Errors
/// A spec whose id does not go with another's.
pub fn register_compiled() -> Result<(), MakeError> {
    static ONCE: Once = Once::new();
    let mut result = Ok(());
    ONCE.call_once(|| {
        for spec in ENVIRONMENTS {
            result = result.clone().and(register(spec()));
        }
    });
    result
}
