use super::*;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

#[test]
fn a_dot_in_an_interface_name_stays_inside_its_segment() {
    let sysctl = Sysctl::conf(IpVersion::V4, &name("eth0.7"), "proxy_arp");
    assert_eq!(sysctl.path(), PathBuf::from("/proc/sys/net/ipv4/conf/eth0.7/proxy_arp"));
    assert_eq!(sysctl.to_string(), "net.ipv4.conf.eth0.7.proxy_arp");
}

#[test]
fn no_segment_leads_out_of_the_tree() {
    for segment in ["..", ".", "", "../../etc", "a/b", "a\0b"] {
        let path = Sysctl::new(["net", segment, "x"]).path();
        assert_eq!(path.components().count(), 6, "{segment:?} gave {path:?}");
        assert!(path.starts_with("/proc/sys/net"), "{segment:?} gave {path:?}");
    }
}

#[test]
fn a_setting_is_written_only_when_it_differs() {
    let mut fake = FakeSysctls::default();
    let sysctl = Sysctl::conf(IpVersion::V6, &name("cali1"), "forwarding");
    fake.put(sysctl.clone(), "0");
    assert!(fake.set(&sysctl, "1").unwrap());
    assert!(!fake.set(&sysctl, "1").unwrap());
    assert_eq!((fake.writes, fake.read(&sysctl).unwrap()), (1, "1".to_owned()));
}

#[test]
fn what_does_not_exist_is_missing_for_kernel_and_fake() {
    let sysctl = Sysctl::conf(IpVersion::V4, &name("nosuchlink"), "proxy_arp");
    for settings in [&mut ProcSys as &mut dyn Sysctls, &mut FakeSysctls::default()] {
        assert!(matches!(settings.read(&sysctl), Err(SysctlError::Missing { .. })));
        assert!(matches!(settings.write(&sysctl, "1"), Err(SysctlError::Missing { .. })));
    }
}

#[test]
fn the_kernel_gives_values_without_the_line_feed() {
    let value = ProcSys.read(&Sysctl::new(["kernel", "ostype"])).unwrap();
    assert_eq!(value, "Linux");
}
