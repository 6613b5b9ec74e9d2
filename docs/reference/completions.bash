# Completes margay and calicoctl in bash: source <(margay completions bash)

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

_margay() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    local command="${COMP_WORDS[1]}" at="$COMP_CWORD" place
    COMPREPLY=()
    [ "$cur" = "=" ] && cur=
    [ "$prev" = "=" ] && prev="${COMP_WORDS[COMP_CWORD-2]}"
    if [ "$at" -eq 1 ]; then
        __margay_offer create replace apply delete get config ipam node version validate diff explain plan explain-field datastore agent status trace cleanup doctor cni completions --help --version
        return
    fi
    case "$command" in
        ipam|node|datastore|agent|cni) if [ "$at" -gt 2 ]; then command="$command ${COMP_WORDS[2]}"; fi ;;
    esac
    case "$command" in
        ipam) __margay_offer release show check --help ;;
        node) __margay_offer run status diags checksystem --help ;;
        datastore) __margay_offer export import copy --help ;;
        agent) __margay_offer run config --help ;;
        cni) __margay_offer install --help ;;
        'create')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename --skip-exists -c --config; return ;;
            esac
            ;;
        'replace')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'apply')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename --dry-run -c --config; return ;;
            esac
            ;;
        'delete')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) __margay_offer k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) __margay_offer global node; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -s --skip-not-exists -f --filename -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) __margay_offer workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'get')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -o|--output) __margay_offer ps wide yaml json custom-columns= go-template= go-template-file=; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) __margay_offer k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) __margay_offer global node; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -o --output -n --node --orchestrator --workload --scope -w --watch -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) __margay_offer workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'config')
            case "$prev" in
                -n|--node) __margay_live; return ;;
                --raw) __margay_offer bgp felix; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -n --node --raw -c --config; return ;;
            esac
            __margay_place 1 "-n --node --raw -c --config"
            case "$place" in
                0) __margay_offer set; __margay_offer unset; __margay_offer get; ;;
                1) __margay_offer logLevel nodeToNodeMesh asNumber ipip; ;;
                2) ;;
            esac
            ;;
        'ipam release')
            case "$prev" in
                --ip) return ;;
                --handle) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --ip --handle -c --config; return ;;
            esac
            ;;
        'ipam show')
            case "$prev" in
                --ip) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --ip --show-blocks --by-host --by-handle -c --config; return ;;
            esac
            ;;
        'ipam check')
            case "$prev" in
                --grace) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --fix --dry-run --grace --exit-code -c --config; return ;;
            esac
            ;;
        'node run')
            case "$prev" in
                --name) return ;;
                --as) return ;;
                --ip) __margay_offer autodetect; return ;;
                --ip6) __margay_offer autodetect; return ;;
                --ip-autodetection-method) __margay_offer first-found can-reach= interface= skip-interface=; return ;;
                --ip6-autodetection-method) __margay_offer first-found can-reach= interface= skip-interface=; return ;;
                --log-dir) __margay_files; return ;;
                --node-image) return ;;
                --backend) __margay_offer bird gobgp none; return ;;
                --docker-networking-ifprefix) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --name --as --ip --ip6 --ip-autodetection-method --ip6-autodetection-method --log-dir --node-image --backend --dryrun --init-system --no-default-ippools --disable-docker-networking --docker-networking-ifprefix --use-docker-networking-container-labels -c --config; return ;;
            esac
            ;;
        'node status')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            ;;
        'node diags')
            case "$prev" in
                --log-dir) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --log-dir; return ;;
            esac
            ;;
        'node checksystem')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            ;;
        'version')
            case "$prev" in
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -c --config; return ;;
            esac
            ;;
        'validate')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'diff')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'explain')
            case "$prev" in
                -p|--protocol) __margay_offer tcp udp icmp icmpv6 sctp udplite; return ;;
                --port) return ;;
                -f|--filename) __margay_files; return ;;
                -o|--output) __margay_offer json; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -p --protocol --port -f --filename -o --output -c --config; return ;;
            esac
            __margay_place 1 "-p --protocol --port -f --filename -o --output -c --config"
            case "$place" in
                0) __margay_live; ;;
                1) __margay_live; ;;
            esac
            ;;
        'plan')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -o|--output) __margay_offer json; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -o --output -c --config; return ;;
            esac
            ;;
        'explain-field')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            __margay_place 1 ""
            case "$place" in
                0) __margay_offer workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
            esac
            ;;
        'datastore export')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'datastore import')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'datastore copy')
            case "$prev" in
                --from) __margay_files; return ;;
                --to) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --from --to; return ;;
            esac
            ;;
        'agent run')
            case "$prev" in
                -c|--config-file) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -c --config-file; return ;;
            esac
            ;;
        'agent config')
            case "$prev" in
                -c|--config-file) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --explain -c --config-file; return ;;
            esac
            ;;
        'status')
            case "$prev" in
                --wait) return ;;
                -o|--output) __margay_offer json; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --wait -o --output; return ;;
            esac
            ;;
        'trace')
            case "$prev" in
                --seconds) return ;;
                -o|--output) __margay_offer json; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --dropped --seconds -o --output; return ;;
            esac
            ;;
        'cleanup')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help --felix; return ;;
            esac
            ;;
        'doctor')
            case "$prev" in
                -o|--output) __margay_offer json; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -o --output; return ;;
            esac
            ;;
        'cni install')
            case "$prev" in
                --bin-dir) __margay_files; return ;;
                --conf-dir) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --bin-dir --conf-dir; return ;;
            esac
            ;;
        'completions')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            __margay_place 1 ""
            case "$place" in
                0) __margay_offer bash zsh fish; ;;
            esac
            ;;
    esac
}

_calicoctl() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    local command="${COMP_WORDS[1]}" at="$COMP_CWORD" place
    COMPREPLY=()
    [ "$cur" = "=" ] && cur=
    [ "$prev" = "=" ] && prev="${COMP_WORDS[COMP_CWORD-2]}"
    if [ "$at" -eq 1 ]; then
        __margay_offer create replace apply delete get config ipam node version --help --version
        return
    fi
    case "$command" in
        ipam|node) if [ "$at" -gt 2 ]; then command="$command ${COMP_WORDS[2]}"; fi ;;
    esac
    case "$command" in
        ipam) __margay_offer release show --help ;;
        node) __margay_offer run status diags checksystem --help ;;
        'create')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename --skip-exists -c --config; return ;;
            esac
            ;;
        'replace')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'apply')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'delete')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) __margay_offer k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) __margay_offer global node; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -s --skip-not-exists -f --filename -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) __margay_offer workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'get')
            case "$prev" in
                -f|--filename) __margay_files; return ;;
                -o|--output) __margay_offer ps wide yaml json custom-columns= go-template= go-template-file=; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) __margay_offer k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) __margay_offer global node; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -f --filename -o --output -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) __margay_offer workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'config')
            case "$prev" in
                -n|--node) __margay_live; return ;;
                --raw) __margay_offer bgp felix; return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -n --node --raw -c --config; return ;;
            esac
            __margay_place 1 "-n --node --raw -c --config"
            case "$place" in
                0) __margay_offer set; __margay_offer unset; __margay_offer get; ;;
                1) __margay_offer logLevel nodeToNodeMesh asNumber ipip; ;;
                2) ;;
            esac
            ;;
        'ipam release')
            case "$prev" in
                --ip) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --ip -c --config; return ;;
            esac
            ;;
        'ipam show')
            case "$prev" in
                --ip) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --ip -c --config; return ;;
            esac
            ;;
        'node run')
            case "$prev" in
                --name) return ;;
                --as) return ;;
                --ip) __margay_offer autodetect; return ;;
                --ip6) __margay_offer autodetect; return ;;
                --ip-autodetection-method) __margay_offer first-found can-reach= interface= skip-interface=; return ;;
                --ip6-autodetection-method) __margay_offer first-found can-reach= interface= skip-interface=; return ;;
                --log-dir) __margay_files; return ;;
                --node-image) return ;;
                --backend) __margay_offer bird gobgp none; return ;;
                --docker-networking-ifprefix) return ;;
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --name --as --ip --ip6 --ip-autodetection-method --ip6-autodetection-method --log-dir --node-image --backend --dryrun --init-system --no-default-ippools --disable-docker-networking --docker-networking-ifprefix --use-docker-networking-container-labels -c --config; return ;;
            esac
            ;;
        'node status')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            ;;
        'node diags')
            case "$prev" in
                --log-dir) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help --log-dir; return ;;
            esac
            ;;
        'node checksystem')
            case "$prev" in
            esac
            case "$cur" in
                -*) __margay_offer -h --help; return ;;
            esac
            ;;
        'version')
            case "$prev" in
                -c|--config) __margay_files; return ;;
            esac
            case "$cur" in
                -*) __margay_offer -h --help -c --config; return ;;
            esac
            ;;
    esac
}

complete -F _margay margay
complete -F _calicoctl calicoctl
