//! The generated pages are what the code says.

#[test]
fn the_reference_is_fresh() {
    let stale = xtask::reference::stale(&xtask::root()).expect("the pages can be made");
    assert!(stale.is_empty(), "run `cargo xtask gen`: {}", stale.join(", "));
}

#[test]
fn every_field_of_every_kind_is_on_its_page() {
    let pages = xtask::reference::pages().expect("the pages can be made");
    for (page, field) in [
        ("workloadEndpoint.md", "| `externalIP` | `.ExternalIP` | IP |"),
        ("policy.md", "| `notPorts` | `.NotPorts` | list of port or"),
        ("profile.md", "| `tags` | `.Tags` | list of string |"),
        ("ipPool.md", "| `nat-outgoing` | `.NATOutgoing` | boolean |"),
        ("bgpPeer.md", "| `peerIP` | `.PeerIP` | IP |"),
    ] {
        assert!(pages[page].contains(field), "{page} has no {field}:\n{}", pages[page]);
    }
}

#[test]
fn missing_changed_and_left_over_pages_are_stale() {
    let folder = std::env::temp_dir().join(format!("margay-pages-{}", std::process::id()));
    let pages = folder.join(xtask::reference::FOLDER);
    xtask::reference::write(&folder).expect("the pages are written");
    assert_eq!(xtask::reference::stale(&folder).expect("they are read"), Vec::<String>::new());
    std::fs::write(pages.join("node.md"), "other").expect("a page");
    std::fs::remove_file(pages.join("policy.md")).expect("a page");
    std::fs::write(pages.join("ghost.md"), "old").expect("a page");
    let expected = ["docs/reference/ghost.md", "docs/reference/node.md", "docs/reference/policy.md"];
    assert_eq!(xtask::reference::stale(&folder).expect("they are read"), expected);
    assert_eq!(xtask::reference::write(&folder).expect("they are written"), expected);
    assert_eq!(xtask::reference::stale(&folder).expect("they are read"), Vec::<String>::new());
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
}
