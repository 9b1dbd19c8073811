//! Processes that behave badly, and honest ones beside them.

use super::*;

#[test]
fn a_request_that_is_too_long_or_makes_no_sense_is_refused() {
    let running = Running::start();
    let token = running.token(Role::Admin);
    let refused = |bytes: &[u8]| match exchange(&running.address(), &token, bytes, None) {
        Ok((Reply::Refused(refused), _)) => refused.text,
        other => panic!("not refused: {other:?}"),
    };
    let long = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert!(refused(&long).contains("65536 bytes"));
    assert!(refused(&vec![b' '; 4 << 20]).contains("65536 bytes"));
    let deep = "[".repeat(60_000);
    for bad in [
        &b""[..],
        b"{}",
        b"GET / HTTP/1.1",
        b"{\"Join\":{}}",
        deep.as_bytes(),
        &[0xff; 9],
    ] {
        assert!(refused(bad).contains("makes no sense"));
    }
    running.assert_serves();
}

#[test]
fn garbage_on_the_port_is_ignored() {
    let running = Running::start();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let mut seed = 3u32;
    for round in 0..500 {
        let mut datagram = Vec::new();
        for _ in 0..(round * 7) % 1400 {
            seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
            datagram.push((seed >> 24) as u8);
        }
        if round % 2 == 0 && !datagram.is_empty() {
            // A long header of QUIC version 1, so that more of it is looked at.
            let head = [0xc0, 0, 0, 0, 1];
            let len = head.len().min(datagram.len());
            datagram[..len].copy_from_slice(&head[..len]);
        }
        socket
            .send_to(&datagram, running.desk.local_addr())
            .expect("sent");
    }
    running.assert_serves();
}

#[test]
fn who_sends_nothing_is_dropped_while_others_are_served() {
    let running = Running::with(Limits {
        request: Duration::from_millis(300),
        ..Limits::default()
    });
    misbehave(async |endpoint| {
        let silent = running.connect(&endpoint).await;
        let slow = running.connect(&endpoint).await;
        let (mut send, _receive) = slow.open_bi().await.expect("a stream");
        send.write_all(b"{").await.expect("a byte goes out");
        running.assert_serves();
        // Both end without anything done on this side.
        silent.closed().await;
        slow.closed().await;
    });
    running.assert_serves();
}

#[test]
fn a_crowd_of_silent_connections_keeps_nobody_out() {
    let running = Running::with(Limits {
        connections: 8,
        ..Limits::default()
    });
    misbehave(async |endpoint| {
        let mut crowd = Vec::new();
        for _ in 0..40 {
            crowd.push(running.connect(&endpoint).await);
        }
        running.assert_serves();
        // The oldest gave way.
        crowd[0].closed().await;
        assert!(crowd[39].close_reason().is_none());
    });
}
