//! Figure 12a: how long an allreduce of floats takes among actors, and among processes of OpenMPI.
//!
//! Both sum in place, begin at a barrier, and count from there to the last member's end. OpenMPI runs
//! when `mpicc` and `mpirun` are found (Debian: `openmpi-bin libopenmpi-dev`).

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use ray_core::{
    Config, Error,
    collective::{Group, ReduceOp, allreduce, barrier},
    get_all,
    prelude::*,
};

use super::report::{self, Failed, Figure, Point, median};

const MEMBERS: [u32; 2] = [2, 4];

#[actor(num_cpus = 0)]
struct Rank {
    group: Group,
    values: Vec<f32>,
}

#[remote]
impl Rank {
    pub fn new(rank: u32, world: u32) -> Result<Self, Error> {
        let group = Group::join(&format!("ring of {world}"), rank, world)?;
        Ok(Rank {
            group,
            values: Vec::new(),
        })
    }

    pub fn fill(&mut self, len: u64) {
        self.values = vec![1.0; len as usize];
    }

    /// Returns seconds from the barrier to the end.
    pub fn reduce(&mut self) -> Result<f64, Error> {
        self.values.fill(1.0);
        barrier(&self.group)?;
        let start = Instant::now();
        allreduce(&self.group, &mut self.values, ReduceOp::Sum)?;
        Ok(start.elapsed().as_secs_f64())
    }

    pub fn is_right(&self) -> bool {
        let sum = self.group.world_size() as f32;
        self.values.iter().all(|value| *value == sum)
    }
}

pub fn measure() -> Result<Figure, Failed> {
    let mut points = Vec::new();
    for members in MEMBERS {
        points.extend(report::drive("12a", &members.to_string(), &[])?);
        match openmpi(members) {
            Ok(more) => points.extend(more),
            Err(error) => eprintln!("figures: OpenMPI is left out: {error}"),
        }
    }
    Ok(Figure {
        title: "12a: ring allreduce on this machine",
        x: "bytes",
        y: "ms",
        log: (true, true),
        points,
    })
}

pub fn drive(members: &str) -> Result<Vec<Point>, Failed> {
    let ray = Config::new().object_store_memory(512 << 20).init()?;
    let world: u32 = members.parse()?;
    let ranks: Vec<_> = (0..world).map(|rank| Rank::remote(rank, world)).collect();
    let mut points = Vec::new();
    for (bytes, turns) in SIZES {
        get_all(
            &ranks
                .iter()
                .map(|rank| rank.fill(bytes / 4))
                .collect::<Vec<_>>(),
        )?;
        let mut took = Vec::new();
        for _ in 0..=turns {
            let seconds = get_all(&ranks.iter().map(|rank| rank.reduce()).collect::<Vec<_>>())?;
            took.push(seconds.into_iter().fold(0.0, f64::max) * 1e3);
        }
        let right = get_all(&ranks.iter().map(|rank| rank.is_right()).collect::<Vec<_>>())?;
        if !right.into_iter().all(|right| right) {
            return Err("a sum is wrong".into());
        }
        // The first one touches the memory.
        let name = format!("actors x{world}");
        points.push(Point::new(name, bytes as f64, median(took.split_off(1))));
    }
    ray.shutdown()?;
    Ok(points)
}

fn openmpi(members: u32) -> Result<Vec<Point>, Failed> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("allreduce.c");
    let program = folder.path().join("allreduce");
    std::fs::write(&source, include_str!("allreduce.c"))?;
    let compiled = Command::new("mpicc")
        .args(["-O2", "-o"])
        .args([&program, &source])
        .status()?;
    if !compiled.success() {
        return Err("mpicc did not compile the program".into());
    }
    let mut points = Vec::new();
    for (bytes, turns) in SIZES {
        let output = Command::new("mpirun")
            .args([
                "--allow-run-as-root",
                "--oversubscribe",
                "--bind-to",
                "none",
                "-np",
            ])
            .arg(members.to_string())
            .arg(&program)
            .args([bytes.to_string(), turns.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("mpirun ended with {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let took = text
            .lines()
            .map(str::parse)
            .collect::<Result<Vec<f64>, _>>()?;
        if took.len() != turns as usize {
            return Err(format!("mpirun printed {} of {turns} times", took.len()).into());
        }
        let name = format!("OpenMPI x{members}");
        points.push(Point::new(name, bytes as f64, median(took)));
    }
    Ok(points)
}

/// How much is reduced, and how often.
const SIZES: [(u64, u32); 4] = [
    (1_000_000, 21),
    (10_000_000, 11),
    (100_000_000, 7),
    (1_000_000_000, 3),
];
