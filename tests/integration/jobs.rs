//! Submitted jobs: the head runs a driver of other code, and knows what became of it.

use std::path::Path;

use ray_core::control::{Answer, Client, Command, JobRequest, Query, Row, Table};
use ray_tests::{Cluster, eventually};

const DRILL: &str = env!("CARGO_BIN_EXE_drill");

fn client(cluster: &Cluster) -> Client {
    Client::new(cluster.address(), cluster.token().parse().expect("a token"))
}

fn row(client: &Client, job: &str) -> Row {
    match client.query(Query::Job { job: job.into() }) {
        Ok(Answer::Row(row)) => row,
        other => panic!("no row: {other:?}"),
    }
}

fn output(client: &Client, job: &str) -> String {
    let file = row(client, job).text("log_file");
    match client.query(Query::Log { file, offset: 0 }) {
        Ok(Answer::Log { text, .. }) => text,
        other => panic!("no log: {other:?}"),
    }
}

fn submit(client: &Client, drill: &str) -> String {
    let mut request = JobRequest::new("drill");
    request.args = vec![drill.into()];
    client
        .submit_job(request, Path::new(DRILL))
        .expect("it is taken on")
}

fn is_over(client: &Client, job: &str) -> bool {
    let status = row(client, job).text("status");
    !["PENDING", "RUNNING"].contains(&status.as_str())
}

#[ray_core::test]
fn a_submitted_driver_joins_by_itself_and_its_workers_print_into_its_log() {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    let node = cluster.join(&["2"]);
    let client = client(&cluster);
    let job = submit(&client, "output");
    assert!(eventually(|| is_over(&client, &job)));
    let text = output(&client, &job);
    assert_eq!(row(&client, &job).text("status"), "SUCCEEDED", "{text}");
    // The task and the actor ran on the node; their lines carry its id.
    for name in ["speak", "Speaker"] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("({name} ")));
        let line = line.unwrap_or_else(|| panic!("nothing of {name}: {text}"));
        assert!(line.contains(&format!("node={node}")), "{line}");
    }
    // One row for the job and its driver.
    let list = Query::List {
        table: Table::Jobs,
        filters: Vec::new(),
        limit: 10,
    };
    let Ok(Answer::Rows { rows, .. }) = client.query(list) else {
        panic!("no rows");
    };
    assert_eq!(rows.len(), 1, "{rows:?}");
}

#[ray_core::test]
fn a_stopped_job_gives_back_what_it_held() -> ray_core::Result<()> {
    let mut cluster = Cluster::start(DRILL, &["0"]);
    cluster.join(&["3"]);
    let _ray = cluster.driver().init()?;
    let client = client(&cluster);
    let job = submit(&client, "stay");
    assert!(eventually(|| row(&client, &job).text("status") == "RUNNING"));
    assert!(eventually(|| output(&client, &job).contains("pids ")));
    client.command(Command::StopJob { job: job.clone() })?;
    assert!(eventually(|| is_over(&client, &job)));
    assert_eq!(row(&client, &job).text("status"), "STOPPED");
    let all = ray_core::cluster_resources()?.get("CPU");
    assert!(eventually(|| {
        ray_core::available_resources().is_ok_and(|free| free.get("CPU") == all)
    }));
    Ok(())
}
