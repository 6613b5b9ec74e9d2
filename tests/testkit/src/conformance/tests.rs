//! The player is held against actors whose answers are known.

use super::*;

/// An actor that answers each step with what a table says.
struct Puppet {
    answers: std::vec::IntoIter<(String, i32)>,
    dumps: std::vec::IntoIter<BTreeMap<String, String>>,
    calls: Vec<Call>,
}

impl Puppet {
    fn new(answers: Vec<(String, i32)>, dumps: Vec<BTreeMap<String, String>>) -> Self {
        Self { answers: answers.into_iter(), dumps: dumps.into_iter(), calls: Vec::new() }
    }

    /// Upstream itself: what was recorded, in the port that this stage has.
    fn upstream(cases: &[Case]) -> Self {
        let answers = cases
            .iter()
            .flat_map(|case| &case.steps)
            .map(|step| (step.stdout.replace(":2379", ":4711"), step.exit))
            .collect();
        let dumps =
            cases.iter().filter_map(|case| case.dump.as_ref()).map(|dump| dump.keys.clone()).collect();
        Self::new(answers, dumps)
    }
}

impl Stage for Puppet {
    fn etcd_port(&self) -> Option<u16> {
        Some(4711)
    }

    fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("ETCD_AUTHORITY".to_owned(), "127.0.0.1:4711".to_owned())])
    }

    fn prepare(&mut self, _before: &BTreeMap<String, String>) {}

    fn dump(&mut self) -> Option<BTreeMap<String, String>> {
        self.dumps.next()
    }

    fn run(&mut self, call: &Call) -> Outcome {
        self.calls.push(call.clone());
        let (stdout, exit) = self.answers.next().expect("an answer for each step");
        Outcome { stdout: stdout.into_bytes(), stderr: Vec::new(), exit }
    }
}

fn one_step(args: &str, stdout: &str, exit: i32) -> Case {
    Case {
        id: "T1".to_owned(),
        title: "a test".to_owned(),
        files: BTreeMap::from([("p.yaml".to_owned(), "at: 127.0.0.1:2379\n".to_owned())]),
        before: BTreeMap::new(),
        steps: vec![Step {
            args: args.to_owned(),
            stdin: None,
            env: BTreeMap::from([("ETCD_ENDPOINTS".to_owned(), "http://127.0.0.1:2379".to_owned())]),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            exit,
            unstable: false,
            label: None,
        }],
        dump: None,
    }
}

fn play_one(case: &Case, exceptions: &[Exception], mut puppet: Puppet) -> (Report, Vec<Call>) {
    let mut report = Report::default();
    play(case, exceptions, &[], &mut puppet, &mut report);
    (report, puppet.calls)
}

#[test]
fn every_recorded_step_and_dump_is_loaded() {
    let counts = FILES.map(|file| {
        let cases = cases(file);
        let steps: usize = cases.iter().map(|case| case.steps.len()).sum();
        (cases.len(), steps, cases.iter().filter(|case| case.dump.is_some()).count())
    });
    assert_eq!(counts, [(36, 324, 0), (109, 506, 36)]);
}

#[test]
fn upstream_itself_differs_exactly_where_ours_is_asserted() {
    let exceptions = exceptions();
    for file in FILES {
        let all = cases(file);
        let mut puppet = Puppet::upstream(&all);
        let report = play_file(file, &[], &mut puppet);
        let differing: Vec<String> = report
            .failures
            .iter()
            .map(|block| block.split(" (").next().expect("a headline").to_owned())
            .collect();
        let expected: Vec<String> = all
            .iter()
            .flat_map(|case| (1..=case.steps.len()).map(move |step| (case, step)))
            .filter(|(case, step)| {
                exceptions.iter().any(|e| e.case == case.id && e.step == *step && !allows_upstream(e, case))
            })
            .map(|(case, step)| format!("{} step {step}", case.id))
            .collect();
        assert_eq!(differing, expected, "{file}");
    }
}

/// An exception with holes only says that less of the text counts.
fn allows_upstream(exception: &Exception, case: &Case) -> bool {
    let step = &case.steps[exception.step - 1];
    exception.exit.is_none_or(|exit| exit == step.exit)
        && exception.stdout.as_ref().is_none_or(|pattern| matches(pattern, &step.stdout))
}

#[test]
fn every_exception_names_a_step_and_says_something_else_than_the_recording() {
    let all: Vec<Case> = FILES.iter().flat_map(|file| cases(file)).collect();
    let mut seen = std::collections::BTreeSet::new();
    for exception in exceptions() {
        let place = format!("{} step {}", exception.case, exception.step);
        let case = all.iter().find(|case| case.id == exception.case).unwrap_or_else(|| panic!("{place}"));
        let step = case.steps.get(exception.step - 1).unwrap_or_else(|| panic!("{place}"));
        let same_text = exception.stdout.as_ref().is_none_or(|stdout| *stdout == step.stdout);
        let same_exit = exception.exit.is_none_or(|exit| exit == step.exit);
        assert!(!(same_text && same_exit), "{place} says what the recording says");
        assert!(!exception.reason.is_empty() && !exception.compat.is_empty(), "{place} has no reason");
        assert!(seen.insert(place.clone()), "{place} is listed twice");
    }
}

#[test]
fn unstable_steps_have_our_fixed_order() {
    let exceptions = exceptions();
    for case in FILES.iter().flat_map(|file| cases(file)) {
        for (index, _) in case.steps.iter().enumerate().filter(|(_, step)| step.unstable) {
            assert!(
                exceptions.iter().any(|e| e.case == case.id && e.step == index + 1 && e.stdout.is_some()),
                "{} step {} is in random order upstream and ours is not written down",
                case.id,
                index + 1
            );
        }
    }
}

#[test]
fn the_port_is_rewritten_on_the_way_in_and_out() {
    let case = one_step("get -f p.yaml", "dial 127.0.0.1:2379\n", 1);
    let puppet = Puppet::new(vec![("dial 127.0.0.1:4711\n".to_owned(), 1)], Vec::new());
    let (report, calls) = play_one(&case, &[], puppet);
    report.assert_clean();
    assert_eq!(calls[0].env["ETCD_ENDPOINTS"], "http://127.0.0.1:4711");
    assert_eq!(calls[0].env["HOME"], calls[0].cwd.to_string_lossy());
}

#[test]
fn a_wrong_byte_and_a_wrong_exit_are_shown_with_command_and_file() {
    let case = one_step("get -f p.yaml", "NAME   \n", 0);
    let (report, _) = play_one(&case, &[], Puppet::new(vec![("NAME  \n".to_owned(), 1)], Vec::new()));
    assert_eq!(
        report.failures,
        [
            "T1 step 1 (a test)\n  $ ETCD_ENDPOINTS=http://127.0.0.1:2379 calicoctl get -f p.yaml\n  p.yaml:\n    \
          | at: 127.0.0.1:2379\n  exit: expected 0, got 1\n  stdout (- expected, + got):\n    - NAME␠␠␠\n    + \
          NAME␠␠\n      \n  stderr:\n"
        ]
    );
}

#[test]
fn an_exception_replaces_the_expectation() {
    let case = one_step("", "", 0);
    let ours = Exception {
        case: "T1".to_owned(),
        step: 1,
        compat: "x".to_owned(),
        reason: "y".to_owned(),
        stdout: None,
        exit: Some(1),
    };
    let upstream = Puppet::new(vec![(String::new(), 0)], Vec::new());
    assert_eq!(play_one(&case, std::slice::from_ref(&ours), upstream).0.failures.len(), 1);
    let margay = Puppet::new(vec![(String::new(), 1)], Vec::new());
    play_one(&case, &[ours], margay).0.assert_clean();
}

#[test]
fn a_dump_must_be_equal_but_for_the_random_guid() {
    let mut case = one_step("", "", 0);
    let keys = |guid: &str, ready: &str| {
        BTreeMap::from([
            (CLUSTER_GUID.to_owned(), guid.to_owned()),
            ("/calico/v1/Ready".to_owned(), ready.to_owned()),
        ])
    };
    case.dump = Some(Dump { after: 1, keys: keys("0123456789abcdef0123456789abcdef", "true") });
    let other = "ffffffffffffffffffffffffffffffff";
    for (got, failures) in [(keys(other, "true"), 0), (keys(other, "false"), 1), (keys("short", "true"), 1)] {
        let (report, _) = play_one(&case, &[], Puppet::new(vec![(String::new(), 0)], vec![got]));
        assert_eq!((report.dumps, report.failures.len()), (1, failures));
    }
}

#[test]
fn skipped_steps_are_not_played() {
    let case = one_step("get", "never", 0);
    let skip = Skip { case: "T1", steps: &[1], reason: "for the test" };
    let mut report = Report::default();
    play(&case, &[], &[skip], &mut Puppet::new(Vec::new(), Vec::new()), &mut report);
    assert_eq!(report.steps, 0);
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("get pol  -o yaml"), ["get", "pol", "-o", "yaml"]);
    assert_eq!(
        words("-o 'go-template={{range .}}\n\"x\"{{end}}' ''"),
        ["-o", "go-template={{range .}}\n\"x\"{{end}}", ""]
    );
    assert_eq!(words("a\\ b \"c \\\" \\n d\"'e'"), ["a b", "c \" \\n de"]);
    assert!(words("").is_empty());
}

#[test]
fn holes_stand_for_parts_of_lines_or_for_the_rest() {
    assert!(matches("a", "a"));
    assert!(!matches("a", "a\n"));
    assert!(matches("v {any}\nend\n", "v 1.2\nend\n"));
    assert!(!matches("v {any}\nend\n", "v 1.2\nmore\nend\n"));
    assert!(matches("{any}invalid MAC address{any}\n", "x: invalid MAC address\n"));
    assert!(matches("Error: {rest}", "Error: a\nb\n"));
    assert!(!matches("Error: {rest}", "Failed: Error: a\n"));
}
