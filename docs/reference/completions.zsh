#compdef margay calicoctl
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

_margay() {
    local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}"
    local command="${words[2]}" at="$((CURRENT - 1))" place
    if [ "$at" -eq 1 ]; then
        compadd -- create replace apply delete get config ipam node version validate diff explain plan explain-field datastore agent status trace cleanup doctor cni completions --help --version
        return
    fi
    case "$command" in
        ipam|node|datastore|agent|cni) if [ "$at" -gt 2 ]; then command="$command ${words[3]}"; fi ;;
    esac
    case "$command" in
        ipam) compadd -- release show check --help ;;
        node) compadd -- run status diags checksystem --help ;;
        datastore) compadd -- export import copy --help ;;
        agent) compadd -- run config --help ;;
        cni) compadd -- install --help ;;
        'create')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename --skip-exists -c --config; return ;;
            esac
            ;;
        'replace')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'apply')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename --dry-run -c --config; return ;;
            esac
            ;;
        'delete')
            case "$prev" in
                -f|--filename) _files; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) compadd -- k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) compadd -- global node; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -s --skip-not-exists -f --filename -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) compadd -- workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'get')
            case "$prev" in
                -f|--filename) _files; return ;;
                -o|--output) compadd -- ps wide yaml json custom-columns= go-template= go-template-file=; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) compadd -- k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) compadd -- global node; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -o --output -n --node --orchestrator --workload --scope -w --watch -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) compadd -- workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'config')
            case "$prev" in
                -n|--node) __margay_live; return ;;
                --raw) compadd -- bgp felix; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -n --node --raw -c --config; return ;;
            esac
            __margay_place 1 "-n --node --raw -c --config"
            case "$place" in
                0) compadd -- set; compadd -- unset; compadd -- get; ;;
                1) compadd -- logLevel nodeToNodeMesh asNumber ipip; ;;
                2) ;;
            esac
            ;;
        'ipam release')
            case "$prev" in
                --ip) return ;;
                --handle) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --ip --handle -c --config; return ;;
            esac
            ;;
        'ipam show')
            case "$prev" in
                --ip) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --ip --show-blocks --by-host --by-handle -c --config; return ;;
            esac
            ;;
        'ipam check')
            case "$prev" in
                --grace) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --fix --dry-run --grace --exit-code -c --config; return ;;
            esac
            ;;
        'node run')
            case "$prev" in
                --name) return ;;
                --as) return ;;
                --ip) compadd -- autodetect; return ;;
                --ip6) compadd -- autodetect; return ;;
                --ip-autodetection-method) compadd -- first-found can-reach= interface= skip-interface=; return ;;
                --ip6-autodetection-method) compadd -- first-found can-reach= interface= skip-interface=; return ;;
                --log-dir) _files; return ;;
                --node-image) return ;;
                --backend) compadd -- bird gobgp none; return ;;
                --docker-networking-ifprefix) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --name --as --ip --ip6 --ip-autodetection-method --ip6-autodetection-method --log-dir --node-image --backend --dryrun --init-system --no-default-ippools --disable-docker-networking --docker-networking-ifprefix --use-docker-networking-container-labels -c --config; return ;;
            esac
            ;;
        'node status')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            ;;
        'node diags')
            case "$prev" in
                --log-dir) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --log-dir; return ;;
            esac
            ;;
        'node checksystem')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            ;;
        'version')
            case "$prev" in
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -c --config; return ;;
            esac
            ;;
        'validate')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'diff')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'explain')
            case "$prev" in
                -p|--protocol) compadd -- tcp udp icmp icmpv6 sctp udplite; return ;;
                --port) return ;;
                -f|--filename) _files; return ;;
                -o|--output) compadd -- json; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -p --protocol --port -f --filename -o --output -c --config; return ;;
            esac
            __margay_place 1 "-p --protocol --port -f --filename -o --output -c --config"
            case "$place" in
                0) __margay_live; ;;
                1) __margay_live; ;;
            esac
            ;;
        'plan')
            case "$prev" in
                -f|--filename) _files; return ;;
                -o|--output) compadd -- json; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -o --output -c --config; return ;;
            esac
            ;;
        'explain-field')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            __margay_place 1 ""
            case "$place" in
                0) compadd -- workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
            esac
            ;;
        'datastore export')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'datastore import')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'datastore copy')
            case "$prev" in
                --from) _files; return ;;
                --to) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --from --to; return ;;
            esac
            ;;
        'agent run')
            case "$prev" in
                -c|--config-file) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -c --config-file; return ;;
            esac
            ;;
        'agent config')
            case "$prev" in
                -c|--config-file) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --explain -c --config-file; return ;;
            esac
            ;;
        'status')
            case "$prev" in
                --wait) return ;;
                -o|--output) compadd -- json; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --wait -o --output; return ;;
            esac
            ;;
        'trace')
            case "$prev" in
                --seconds) return ;;
                -o|--output) compadd -- json; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --dropped --seconds -o --output; return ;;
            esac
            ;;
        'cleanup')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help --felix; return ;;
            esac
            ;;
        'doctor')
            case "$prev" in
                -o|--output) compadd -- json; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -o --output; return ;;
            esac
            ;;
        'cni install')
            case "$prev" in
                --bin-dir) _files; return ;;
                --conf-dir) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --bin-dir --conf-dir; return ;;
            esac
            ;;
        'completions')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            __margay_place 1 ""
            case "$place" in
                0) compadd -- bash zsh fish; ;;
            esac
            ;;
    esac
}

_calicoctl() {
    local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}"
    local command="${words[2]}" at="$((CURRENT - 1))" place
    if [ "$at" -eq 1 ]; then
        compadd -- create replace apply delete get config ipam node version --help --version
        return
    fi
    case "$command" in
        ipam|node) if [ "$at" -gt 2 ]; then command="$command ${words[3]}"; fi ;;
    esac
    case "$command" in
        ipam) compadd -- release show --help ;;
        node) compadd -- run status diags checksystem --help ;;
        'create')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename --skip-exists -c --config; return ;;
            esac
            ;;
        'replace')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'apply')
            case "$prev" in
                -f|--filename) _files; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -c --config; return ;;
            esac
            ;;
        'delete')
            case "$prev" in
                -f|--filename) _files; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) compadd -- k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) compadd -- global node; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -s --skip-not-exists -f --filename -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) compadd -- workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'get')
            case "$prev" in
                -f|--filename) _files; return ;;
                -o|--output) compadd -- ps wide yaml json custom-columns= go-template= go-template-file=; return ;;
                -n|--node) __margay_live; return ;;
                --orchestrator) compadd -- k8s libnetwork openstack cni; return ;;
                --workload) return ;;
                --scope) compadd -- global node; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -f --filename -o --output -n --node --orchestrator --workload --scope -c --config; return ;;
            esac
            __margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config"
            case "$place" in
                0) compadd -- workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer; ;;
                1) __margay_live; ;;
            esac
            ;;
        'config')
            case "$prev" in
                -n|--node) __margay_live; return ;;
                --raw) compadd -- bgp felix; return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -n --node --raw -c --config; return ;;
            esac
            __margay_place 1 "-n --node --raw -c --config"
            case "$place" in
                0) compadd -- set; compadd -- unset; compadd -- get; ;;
                1) compadd -- logLevel nodeToNodeMesh asNumber ipip; ;;
                2) ;;
            esac
            ;;
        'ipam release')
            case "$prev" in
                --ip) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --ip -c --config; return ;;
            esac
            ;;
        'ipam show')
            case "$prev" in
                --ip) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --ip -c --config; return ;;
            esac
            ;;
        'node run')
            case "$prev" in
                --name) return ;;
                --as) return ;;
                --ip) compadd -- autodetect; return ;;
                --ip6) compadd -- autodetect; return ;;
                --ip-autodetection-method) compadd -- first-found can-reach= interface= skip-interface=; return ;;
                --ip6-autodetection-method) compadd -- first-found can-reach= interface= skip-interface=; return ;;
                --log-dir) _files; return ;;
                --node-image) return ;;
                --backend) compadd -- bird gobgp none; return ;;
                --docker-networking-ifprefix) return ;;
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --name --as --ip --ip6 --ip-autodetection-method --ip6-autodetection-method --log-dir --node-image --backend --dryrun --init-system --no-default-ippools --disable-docker-networking --docker-networking-ifprefix --use-docker-networking-container-labels -c --config; return ;;
            esac
            ;;
        'node status')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            ;;
        'node diags')
            case "$prev" in
                --log-dir) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help --log-dir; return ;;
            esac
            ;;
        'node checksystem')
            case "$prev" in
            esac
            case "$cur" in
                -*) compadd -- -h --help; return ;;
            esac
            ;;
        'version')
            case "$prev" in
                -c|--config) _files; return ;;
            esac
            case "$cur" in
                -*) compadd -- -h --help -c --config; return ;;
            esac
            ;;
    esac
}

compdef _margay margay
compdef _calicoctl calicoctl
