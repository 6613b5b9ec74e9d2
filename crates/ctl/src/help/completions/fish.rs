//! The script for fish.

use super::{Leaf, PROGRAMS, groups, leaves, shown};
use crate::grammar::{Offer, OptionSpec, Program, TOP};

const HEAD: &str = r#"# Completes margay and calicoctl in fish: margay completions fish | source

# True if the command line starts with these commands.
function __margay_in
    set -l words (commandline -opc)
    set -l count (count $argv)
    test (count $words) -gt $count; or return 1
    test "$words[2..(math $count + 1)]" = "$argv"
end

# True if no command was typed yet.
function __margay_start
    test (count (commandline -opc)) -eq 1
end

# True if a group was typed, and no command of it.
function __margay_group
    set -l words (commandline -opc)
    test (count $words) -eq 2; and test "$words[2]" = "$argv[1]"
end

# True if $argv[1] words stand behind $argv[3..] so far; $argv[2] are the options that take a value.
function __margay_place
    __margay_in $argv[3..]; or return 1
    set -l words (commandline -opc)
    set -l place 0
    set -l skip
    for word in $words[(count $argv)..]
        if set -q skip[1]
            set skip
        else if string match -q -- '-*' $word
            contains -- $word (string split ' ' -- $argv[2]); and set skip 1
        else
            set place (math $place + 1)
        end
    end
    test $place -eq $argv[1]
end

function __margay_live
    margay complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null
end
"#;

/// The whole script.
pub(super) fn script() -> String {
    let mut text = HEAD.to_owned();
    for program in PROGRAMS {
        commands(&mut text, program);
    }
    text
}

fn commands(text: &mut String, program: Program) {
    let name = program.name();
    text.push_str(&format!("\ncomplete -c {name} -f\n"));
    for entry in shown(&TOP, program) {
        let summary = quoted(entry.summary(), program);
        text.push_str(&format!("complete -c {name} -n __margay_start -a {} -d {summary}\n", entry.name()));
    }
    for group in groups(program) {
        for entry in shown(group, program) {
            let summary = quoted(entry.summary(), program);
            let (group, member) = (group.name, entry.name());
            text.push_str(&format!(
                "complete -c {name} -n '__margay_group {group}' -a {member} -d {summary}\n"
            ));
        }
    }
    for leaf in leaves(program) {
        command(text, &leaf);
    }
}

fn command(text: &mut String, leaf: &Leaf) {
    let name = leaf.program.name();
    let path = leaf.path.join(" ");
    for spec in leaf.options() {
        text.push_str(&format!("complete -c {name} -n '__margay_in {path}'{}\n", option(spec, leaf.program)));
    }
    let valued = leaf.valued_option_words().join(" ");
    for (place, offers) in leaf.places().into_iter().enumerate() {
        for offer in offers {
            text.push_str(&format!(
                "complete -c {name} -n '__margay_place {place} \"{valued}\" {path}'{}\n",
                offered(offer),
            ));
        }
    }
}

fn option(spec: &OptionSpec, program: Program) -> String {
    let short = spec.short.map(|short| format!(" -s {short}")).unwrap_or_default();
    let value = match spec.value {
        Some(_) => format!(" -r{}", offered(spec.offer)),
        None => String::new(),
    };
    format!("{short} -l {}{value} -d {}", spec.long, quoted(spec.text, program))
}

/// The arguments of `complete` that offer this.
fn offered(offer: Offer) -> String {
    match offer {
        Offer::Nothing => String::new(),
        Offer::File => " -F".to_owned(),
        Offer::Literal(word) => format!(" -a {word}"),
        Offer::Words(words) => format!(" -a '{}'", words.join(" ")),
        Offer::Node | Offer::Name | Offer::Endpoint => " -a '(__margay_live)'".to_owned(),
    }
}

/// One line, in quotes.
fn quoted(text: &str, program: Program) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace("{program}", program.name());
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
