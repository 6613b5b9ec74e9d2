//! Answers as BIRD gives them.

use super::*;

fn peer_of(address: &str, kind: PeerKind, state: &str, since: &str, details: &str) -> Peer {
    Peer {
        address: address.to_owned(),
        kind,
        state: state.to_owned(),
        since: since.to_owned(),
        details: details.to_owned(),
    }
}

fn read(answer: &str, version: IpVersion) -> Result<Vec<Peer>, String> {
    read_peers(answer.as_bytes(), version).map_err(|error| error.to_string())
}

const ANSWER: &str = "\
0001 BIRD 1.5.0 ready.
2002-name     proto    table    state  since       info
1002-kernel1  Kernel   master   up     2016-11-21
 device1  Device   master   up     2016-11-21
 Mesh_172_17_8_102 BGP      master   up     2016-11-21  Established
 Global_10_0_0_1 BGP  master   start  17:56:21    Active        Socket: Connection closed
 Node_10_0_0_2 BGP      master   down   2016-11-21  Passive
 Other_10_0_0_3 BGP     master   up     2016-11-21  Established
 Mesh_10_0_0_4 BGP      master   up     2016-11-21
 Mesh_10_0_0_5 Static   master   up     2016-11-21  Established
0000
 Mesh_10_0_0_9 BGP      master   up     2016-11-21  Established
";

#[test]
fn the_sessions_of_an_answer_are_found() {
    assert_eq!(
        read(ANSWER, IpVersion::V4),
        Ok(vec![
            peer_of("172.17.8.102", PeerKind::Mesh, "up", "2016-11-21", "Established"),
            peer_of("10.0.0.1", PeerKind::Global, "start", "17:56:21", "Active Socket: Connection closed"),
            peer_of("10.0.0.2", PeerKind::Node, "down", "2016-11-21", "Passive"),
        ])
    );
}

#[test]
fn ipv6_addresses_get_their_colons_back() {
    let answer = "0001 x\n1002-Mesh_fd80_24e2_f998_72d7__2 BGP master up 22:10:01 Established\n0000 \n";
    assert_eq!(
        read(answer, IpVersion::V6),
        Ok(vec![peer_of("fd80:24e2:f998:72d7::2", PeerKind::Mesh, "up", "22:10:01", "Established")])
    );
}

#[test]
fn the_headings_of_bird_2_are_known_too() {
    let answer = "0001 BIRD 2.0.12 ready.\n\
                  2002-Name       Proto      Table      State  Since         Info\n\
                  1002-Node_192_0_2_1 BGP        ---        up     12:00:01.234  Established   \n0000 \n";
    assert_eq!(
        read(answer, IpVersion::V4),
        Ok(vec![peer_of("192.0.2.1", PeerKind::Node, "up", "12:00:01.234", "Established")])
    );
}

#[test]
fn an_answer_may_just_end() {
    assert_eq!(read("0001 BIRD ready.\n", IpVersion::V4), Ok(vec![]));
    assert_eq!(read("", IpVersion::V4), Ok(vec![]));
}

#[test]
fn strange_answers_are_refused() {
    let headings = Err("unknown BIRD table output format".to_owned());
    assert_eq!(read("2002-name proto table state since\n", IpVersion::V4), headings);
    assert_eq!(read("2002\n", IpVersion::V4), headings);
    let line = Err("unexpected output line from BIRD".to_owned());
    assert_eq!(read("9001 syntax error\n", IpVersion::V4), line);
    assert_eq!(read("\n", IpVersion::V4), line);
}

#[test]
fn short_rows_and_bytes_that_are_no_text_do_no_harm() {
    assert_eq!(read("1002\n 1002-\n \n  x\n0000\n", IpVersion::V4), Ok(vec![]));
    let answer: &[u8] = b" \xff\xfe BGP a b c d\n1002\xc3\xa4\xc3\xa4 BGP\n0000\n";
    assert_eq!(read_peers(answer, IpVersion::V4).expect("no row counts"), []);
}
