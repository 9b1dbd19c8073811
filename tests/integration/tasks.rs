//! Tasks run elsewhere, take values and references, call each other, and never deadlock on CPUs.

use ray_core::{Config, Error, get_all, init, prelude::*, put, wait};
use ray_tests::{Tokens, add_token, take_token};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[remote(num_returns = 0)]
fn nothing(path: String) {
    add_token(&path);
}

#[remote(num_returns = 2)]
fn halves(text: String) -> (String, u64) {
    let half = text.len() / 2;
    (text[..half].to_owned(), half as u64)
}

#[remote(num_returns = 3)]
fn thrice(x: u32) -> (u32, Vec<u32>, String) {
    (x, vec![x; 3], x.to_string())
}

#[remote]
fn factorial(n: u64) -> Result<u64, Error> {
    if n <= 1 {
        return Ok(1);
    }
    Ok(n * factorial::remote(n - 1).get()?)
}

#[remote]
fn calls_what_is_defined_later(x: i64) -> Result<i64, Error> {
    later::remote(helper(x)).get()
}

fn helper(x: i64) -> i64 {
    x + 1
}

#[remote]
fn later(x: i64) -> i64 {
    x * 10
}

#[remote]
fn sum_archived(values: &Archived<Vec<f32>>) -> f32 {
    values.iter().map(|value| value.to_native()).sum()
}

#[remote]
fn total_len(parts: Vec<Vec<u8>>, a: Vec<u8>, b: Vec<u8>) -> u64 {
    (parts.iter().map(Vec::len).sum::<usize>() + a.len() + b.len()) as u64
}

#[remote]
fn wait_for(path: String, value: i64) -> i64 {
    take_token(&path);
    value
}

#[remote]
fn fetch_nested(inside: Vec<ObjectRef<i64>>) -> Result<i64, Error> {
    Ok(get_all(&inside)?.into_iter().sum())
}

#[remote]
fn hand_on(inside: Vec<ObjectRef<i64>>) -> Vec<ObjectRef<i64>> {
    inside
}

#[remote]
fn pid_after_ready_get(inside: Vec<ObjectRef<i64>>) -> Result<(u32, i64), Error> {
    let sum = get_all(&inside)?.into_iter().sum();
    Ok((std::process::id(), sum))
}

#[remote]
fn pid() -> u32 {
    std::process::id()
}

#[remote(num_returns = 4)]
fn four_blobs(len: u64) -> (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>) {
    let blob = |fill| vec![fill; len as usize];
    (blob(1), blob(2), blob(3), blob(4))
}

/// An ordinary function stays one beside its task.
#[ray_core::test]
fn a_task_is_still_an_ordinary_function() {
    assert_eq!(square(4), 16);
}

#[ray_core::test]
fn a_task_runs_in_another_process() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_ne!(pid::remote().get()?, std::process::id());
    Ok(())
}

// 1
#[ray_core::test]
fn each_declared_return_is_a_reference_of_its_own() -> ray_core::Result<()> {
    let _ray = init()?;
    let done = Tokens::new();
    let () = nothing::remote(done.path());
    done.take();
    let (half, len) = halves::remote("abcdef");
    assert_eq!((half.get()?, len.get()?), ("abc".to_owned(), 3));
    let (number, list, text) = thrice::remote(7);
    assert_eq!(text.get()?, "7");
    assert_eq!(list.get()?, [7, 7, 7]);
    assert_eq!(number.get()?, 7);
    Ok(())
}

// 1: ours fails at once instead of waiting for a node that nobody adds.
#[ray_core::test]
fn what_can_never_run_says_so() -> ray_core::Result<()> {
    let _ray = init()?;
    let never = square::options().num_cpus(4096.0).remote(2);
    let error = never.get().expect_err("no node has so many CPUs");
    assert!(matches!(error, Error::Unschedulable { .. }), "{error}");
    assert!(error.to_string().contains("4096"), "{error}");
    Ok(())
}

// 2
#[ray_core::test]
fn a_wrong_option_fails_naming_it() -> ray_core::Result<()> {
    let _ray = init()?;
    let wrong = [
        ("num_cpus", square::options().num_cpus(-1.0).remote(2)),
        ("num_cpus", square::options().num_cpus(f64::NAN).remote(2)),
        ("max_retries", square::options().max_retries(-2).remote(2)),
        ("num_gpus", square::options().num_gpus(1.5).remote(2)),
    ];
    for (name, reference) in wrong {
        match reference.get() {
            Err(Error::InvalidOption { option, .. }) => assert_eq!(option, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    Ok(())
}

// 4
#[ray_core::test]
fn values_come_back_equal_on_a_node_without_cpus() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(0.0).workers(0).init()?;
    assert_eq!(put(&42_i64)?.get()?, 42);
    assert_eq!(put(&"text".to_owned())?.get()?, "text");
    assert_eq!(put(&vec![1.5_f32; 1000])?.get()?, vec![1.5; 1000]);
    assert_eq!(put(&String::new())?.get()?, "");
    Ok(())
}

// 5
#[ray_core::test]
fn a_task_calls_helpers_and_tasks_defined_later() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(calls_what_is_defined_later::remote(4).get()?, 50);
    Ok(())
}

// 6: more levels than CPUs; a blocked parent gives its CPU back.
#[ray_core::test]
fn recursion_deeper_than_the_cpus_ends() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).init()?;
    assert_eq!(factorial::remote(12).get()?, 479_001_600);
    Ok(())
}

// 9
#[ray_core::test]
fn one_value_may_stand_in_several_places() -> ray_core::Result<()> {
    let _ray = init()?;
    let three = put(&3_i64)?;
    assert_eq!(add::remote(&three, &three).get()?, 6);
    let shared = square::remote(2);
    assert_eq!(add::remote(&shared, shared.clone()).get()?, 8);
    Ok(())
}

// 11, 12
#[ray_core::test]
fn tasks_of_one_name_do_not_mix() -> ray_core::Result<()> {
    fn one() -> Vec<ObjectRef<u32>> {
        #[remote]
        fn same() -> u32 {
            1
        }
        (0..200).map(|_| same::remote()).collect()
    }
    fn two() -> Vec<ObjectRef<u32>> {
        #[remote]
        fn same() -> u32 {
            2
        }
        (0..200).map(|_| same::remote()).collect()
    }
    let _ray = init()?;
    let (ones, twos) = (one(), two());
    assert_eq!(get_all(&ones)?, [1; 200]);
    assert_eq!(get_all(&twos)?, [2; 200]);
    Ok(())
}

// 14
#[ray_core::test]
fn arguments_over_the_inline_total_still_arrive() -> ray_core::Result<()> {
    let _ray = init()?;
    let part = vec![9_u8; 90 << 10];
    let parts = vec![part.clone(); 150];
    let len = total_len::remote(&parts, &part, vec![1_u8; 5 << 20]).get()?;
    assert_eq!(len, (151 * (90 << 10) + (5 << 20)) as u64);
    Ok(())
}

// 15
#[ray_core::test]
fn results_arrive_inline_and_through_shared_memory_alike() -> ray_core::Result<()> {
    let _ray = init()?;
    for len in [0_u64, 1, 100, 100 << 10, (100 << 10) + 1, 1 << 20] {
        let (a, b, c, d) = four_blobs::remote(len);
        for (fill, blob) in [(1, a), (2, b), (3, c), (4, d)] {
            assert_eq!(blob.get()?, vec![fill; len as usize], "length {len}");
        }
    }
    Ok(())
}

// 16
#[ray_core::test]
fn fetching_what_is_ready_keeps_the_cpu() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).workers(1).init()?;
    let ready: Vec<_> = (0..4).map(square::remote).collect();
    get_all(&ready)?;
    let before = pid::remote().get()?;
    let (during, sum) = pid_after_ready_get::remote(&ready).get()?;
    assert_eq!(sum, 14);
    assert_eq!(before, during, "the one worker runs the next task");
    Ok(())
}

// 17
#[ray_core::test]
fn a_reference_inside_a_list_is_handed_on_unfinished() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(2.0).init()?;
    let gate = Tokens::new();
    let slow = wait_for::remote(gate.path(), 5);
    let fetched = fetch_nested::remote(vec![slow.clone()]);
    let handed = hand_on::remote(vec![slow.clone()]).get()?;
    assert_eq!(handed.len(), 1);
    assert!(!handed[0].is_ready());
    gate.add(1);
    assert_eq!(fetched.get()?, 5);
    assert_eq!(handed[0].get()?, 5);
    Ok(())
}

#[ray_core::test]
fn a_reference_argument_is_a_dependency() -> ray_core::Result<()> {
    let _ray = init()?;
    let gate = Tokens::new();
    let slow = wait_for::remote(gate.path(), 6);
    let after = square::remote(&slow);
    assert!(!after.is_ready());
    gate.add(1);
    assert_eq!(after.get()?, 36);
    Ok(())
}

#[ray_core::test]
fn a_borrowed_argument_is_read_in_place() -> ray_core::Result<()> {
    let _ray = init()?;
    let batch = put(&vec![0.5_f32; 1 << 20])?;
    assert_eq!(sum_archived::remote(&batch).get()?, 524_288.0);
    assert_eq!(sum_archived::remote(vec![1.0_f32, 2.0]).get()?, 3.0);
    Ok(())
}

#[ray_core::test]
fn ten_thousand_tasks_all_answer() -> ray_core::Result<()> {
    let _ray = init()?;
    let refs: Vec<_> = (0..10_000).map(square::remote).collect();
    let sum: i64 = get_all(&refs)?.into_iter().sum();
    assert_eq!(sum, (0..10_000_i64).map(|x| x * x).sum::<i64>());
    Ok(())
}

#[ray_core::test]
fn threads_of_one_driver_submit_together() -> ray_core::Result<()> {
    let _ray = init()?;
    let sums: Vec<ray_core::Result<i64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    let refs: Vec<_> = (0..500).map(|i| add::remote(thread, i)).collect();
                    Ok(get_all(&refs)?.into_iter().sum())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    for (thread, sum) in sums.into_iter().enumerate() {
        assert_eq!(sum?, thread as i64 * 500 + 124_750);
    }
    Ok(())
}

// A worker that blocks hands its unstarted tasks back: pipelining never deadlocks.
#[ray_core::test]
fn a_blocked_worker_does_not_sit_on_the_tasks_behind_it() -> ray_core::Result<()> {
    let _ray = Config::new().num_cpus(1.0).workers(1).init()?;
    let gate = Tokens::new();
    // Warm up, so that several tasks are in flight to one worker.
    get_all(&(0..100).map(square::remote).collect::<Vec<_>>())?;
    let slow = wait_for::remote(gate.path(), 1);
    let blocked = fetch_nested::remote(vec![slow.clone()]);
    let behind: Vec<_> = (0..100).map(square::remote).collect();
    // The one CPU is taken by the waiting task: nothing moves before the gate opens.
    let (ready, _) = wait(&behind, 1, std::time::Duration::from_millis(50))?;
    assert!(ready.is_empty());
    gate.add(1);
    assert_eq!(blocked.get()?, 1);
    assert_eq!(get_all(&behind)?.len(), 100);
    Ok(())
}

#[remote]
async fn awaits(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x + 1
}

#[ray_core::test]
fn an_async_function_is_a_task_too() -> ray_core::Result<()> {
    let _ray = init()?;
    assert_eq!(awaits::remote(1).get()?, 2);
    Ok(())
}
