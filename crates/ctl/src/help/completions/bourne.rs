//! The scripts for bash and zsh: one shape, two ways to offer words and to see what was typed.

use super::{Leaf, PROGRAMS, groups, leaves, member_words, spelled};
use crate::grammar::{Offer, Program, TOP};

/// What differs between the two shells.
struct Dialect {
    /// Functions that both programs use.
    head: &'static str,
    /// Sets `cur`, `prev`, `command` and, when a group is left behind, its member; `at` is the place being typed.
    locals: &'static str,
    /// The second word behind the program's name.
    member: &'static str,
    /// Offers the words that follow.
    offer: &'static str,
    /// Offers paths.
    files: &'static str,
    /// What registers `_NAME` for `NAME`.
    register: &'static str,
}

const BASH: Dialect = Dialect {
    head: r#"# Completes margay and calicoctl in bash: source <(margay completions bash)

__margay_offer() {
    COMPREPLY+=($(compgen -W "$*" -- "$cur"))
}

__margay_files() {
    local IFS=$'\n'
    COMPREPLY+=($(compgen -f -- "$cur"))
}

__margay_live() {
    __margay_offer "$(margay complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)"
}

# Counts the words behind the first $1; $2 are the options that take a value.
__margay_place() {
    local index skip=
    place=0
    for ((index = $1 + 1; index < COMP_CWORD; index++)); do
        if [ "${COMP_WORDS[index]}" = "=" ]; then
            skip=1
        elif [ -n "$skip" ]; then
            skip=
        else
            case "${COMP_WORDS[index]}" in
                -*) case " $2 " in *" ${COMP_WORDS[index]} "*) skip=1 ;; esac ;;
                *) place=$((place + 1)) ;;
            esac
        fi
    done
}
"#,
    locals: r#"    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    local command="${COMP_WORDS[1]}" at="$COMP_CWORD" place
    COMPREPLY=()
    [ "$cur" = "=" ] && cur=
    [ "$prev" = "=" ] && prev="${COMP_WORDS[COMP_CWORD-2]}"
"#,
    member: "${COMP_WORDS[2]}",
    offer: "__margay_offer",
    files: "__margay_files",
    register: "complete -F",
};

const ZSH: Dialect = Dialect {
    head: r#"#compdef margay calicoctl
# Completes margay and calicoctl in zsh: source <(margay completions zsh)

__margay_live() {
    compadd -- ${(f)"$(margay complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}
}

# Counts the words behind the first $1; $2 are the options that take a value.
__margay_place() {
    local index skip=
    place=0
    for ((index = $1 + 2; index < CURRENT; index++)); do
        if [[ -n $skip ]]; then
            skip=
        elif [[ ${words[index]} == -* ]]; then
            [[ " $2 " == *" ${words[index]} "* ]] && skip=1
        else
            ((place += 1))
        fi
    done
    return 0
}
"#,
    locals: r#"    local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}"
    local command="${words[2]}" at="$((CURRENT - 1))" place
"#,
    member: "${words[3]}",
    offer: "compadd --",
    files: "_files",
    register: "compdef",
};

/// The script for bash; it works without the bash-completion package.
pub(super) fn bash() -> String {
    BASH.script()
}

/// The script for zsh.
pub(super) fn zsh() -> String {
    ZSH.script()
}

// === impl Dialect ===

impl Dialect {
    fn script(&self) -> String {
        let mut text = self.head.to_owned();
        for program in PROGRAMS {
            self.function(&mut text, program);
        }
        text.push('\n');
        for program in PROGRAMS {
            text.push_str(&format!("{} _{1} {1}\n", self.register, program.name()));
        }
        text
    }

    fn function(&self, text: &mut String, program: Program) {
        let groups = groups(program);
        let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        text.push_str(&format!(
            "\n_{program}() {{\n\
             {locals}    \
                 if [ \"$at\" -eq 1 ]; then\n        \
                     {offer} {top} --help --version\n        \
                     return\n    \
                 fi\n    \
                 case \"$command\" in\n        \
                     {names}) if [ \"$at\" -gt 2 ]; then command=\"$command {member}\"; fi ;;\n    \
                 esac\n    \
                 case \"$command\" in\n",
            program = program.name(),
            locals = self.locals,
            offer = self.offer,
            top = member_words(&TOP, program).join(" "),
            names = names.join("|"),
            member = self.member,
        ));
        for group in groups {
            let members = member_words(group, program).join(" ");
            text.push_str(&format!("        {}) {} {members} --help ;;\n", group.name, self.offer));
        }
        for leaf in leaves(program) {
            self.command(text, &leaf);
        }
        text.push_str("    esac\n}\n");
    }

    fn command(&self, text: &mut String, leaf: &Leaf) {
        text.push_str(&format!("        '{}')\n            case \"$prev\" in\n", leaf.path.join(" ")));
        for option in leaf.options().filter(|option| option.value.is_some()) {
            let spelled = spelled(option).join("|");
            text.push_str(&format!("                {spelled}) {}return ;;\n", self.offer(option.offer)));
        }
        text.push_str(&format!(
            "            esac\n            \
                         case \"$cur\" in\n                \
                             -*) {} {}; return ;;\n            \
                         esac\n",
            self.offer,
            leaf.option_words().join(" "),
        ));
        let places = leaf.places();
        if !places.is_empty() {
            text.push_str(&format!(
                "            __margay_place {} \"{}\"\n            case \"$place\" in\n",
                leaf.path.len(),
                leaf.valued_option_words().join(" "),
            ));
            for (place, offers) in places.into_iter().enumerate() {
                let offers: String = offers.into_iter().map(|offer| self.offer(offer)).collect();
                text.push_str(&format!("                {place}) {offers};;\n"));
            }
            text.push_str("            esac\n");
        }
        text.push_str("            ;;\n");
    }

    /// A statement, with the `; ` behind it.
    fn offer(&self, offer: Offer) -> String {
        match offer {
            Offer::Nothing => String::new(),
            Offer::File => format!("{}; ", self.files),
            Offer::Literal(word) => format!("{} {word}; ", self.offer),
            Offer::Words(words) => format!("{} {}; ", self.offer, words.join(" ")),
            Offer::Node | Offer::Name | Offer::Endpoint => "__margay_live; ".to_owned(),
        }
    }
}
