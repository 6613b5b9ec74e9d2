# Completes margay and calicoctl in fish: margay completions fish | source

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

complete -c margay -f
complete -c margay -n __margay_start -a create -d 'Create a resource by filename or stdin.'
complete -c margay -n __margay_start -a replace -d 'Replace a resource by filename or stdin.'
complete -c margay -n __margay_start -a apply -d 'Apply a resource by filename or stdin. This creates a resource if it does not exist, and replaces a resource if it does exists.'
complete -c margay -n __margay_start -a delete -d 'Delete a resource identified by file, stdin or resource type and name.'
complete -c margay -n __margay_start -a get -d 'Get a resource identified by file, stdin or resource type and name.'
complete -c margay -n __margay_start -a config -d 'Manage system-wide and low-level node configuration options.'
complete -c margay -n __margay_start -a ipam -d 'IP address management.'
complete -c margay -n __margay_start -a node -d 'Calico node management.'
complete -c margay -n __margay_start -a version -d 'Display the version of margay.'
complete -c margay -n __margay_start -a validate -d 'Check the resources of a file or stdin without writing anything.'
complete -c margay -n __margay_start -a diff -d 'Show what apply would change.'
complete -c margay -n __margay_start -a explain-field -d 'Explain a kind of resource, or one field of it.'
complete -c margay -n __margay_start -a datastore -d 'Move the content of a datastore.'
complete -c margay -n __margay_start -a completions -d 'Print the script that completes command lines in a shell.'
complete -c margay -n '__margay_group ipam' -a release -d 'Release a Calico assigned IP address.'
complete -c margay -n '__margay_group ipam' -a show -d 'Show details of a Calico assigned IP address.'
complete -c margay -n '__margay_group node' -a run -d 'Run the Calico node container image.'
complete -c margay -n '__margay_group node' -a status -d 'View the current status of a Calico node.'
complete -c margay -n '__margay_group node' -a diags -d 'Gather a diagnostics bundle for a Calico node.'
complete -c margay -n '__margay_group node' -a checksystem -d 'Verify the compute host is able to run a Calico node instance.'
complete -c margay -n '__margay_group datastore' -a export -d 'Write everything into a file or stdout.'
complete -c margay -n '__margay_group datastore' -a import -d 'Read such a file back.'
complete -c margay -n '__margay_group datastore' -a copy -d 'Copy everything from one datastore into another.'
complete -c margay -n '__margay_in create' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in create' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in create' -l skip-exists -d 'Count a resource that exists already as created, and leave it as it is.'
complete -c margay -n '__margay_in create' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in replace' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in replace' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in replace' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in apply' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in apply' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in apply' -l dry-run -d 'Check everything and say what would change, but write nothing.'
complete -c margay -n '__margay_in apply' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in delete' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in delete' -s s -l skip-not-exists -d 'Count a resource that does not exist as deleted.'
complete -c margay -n '__margay_in delete' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in delete' -s n -l node -r -a '(__margay_live)' -d 'Node of the resource: its host name, unless the node was given another name.'
complete -c margay -n '__margay_in delete' -l orchestrator -r -a 'k8s libnetwork openstack cni' -d 'Orchestrator of a workload endpoint.'
complete -c margay -n '__margay_in delete' -l workload -r -d 'Workload of a workload endpoint.'
complete -c margay -n '__margay_in delete' -l scope -r -a 'global node' -d 'Scope of a BGP peer: global, or node for a peer of one node.'
complete -c margay -n '__margay_in delete' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_place 0 "-f --filename -n --node --orchestrator --workload --scope -c --config" delete' -a 'workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer'
complete -c margay -n '__margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config" delete' -a '(__margay_live)'
complete -c margay -n '__margay_in get' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in get' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in get' -s o -l output -r -a 'ps wide yaml json custom-columns= go-template= go-template-file=' -d 'Output format: ps, wide, yaml, json, custom-columns=..., go-template=... or go-template-file=...'
complete -c margay -n '__margay_in get' -s n -l node -r -a '(__margay_live)' -d 'Node of the resource: its host name, unless the node was given another name.'
complete -c margay -n '__margay_in get' -l orchestrator -r -a 'k8s libnetwork openstack cni' -d 'Orchestrator of a workload endpoint.'
complete -c margay -n '__margay_in get' -l workload -r -d 'Workload of a workload endpoint.'
complete -c margay -n '__margay_in get' -l scope -r -a 'global node' -d 'Scope of a BGP peer: global, or node for a peer of one node.'
complete -c margay -n '__margay_in get' -s w -l watch -d 'Print the resources, then every change, until interrupted.'
complete -c margay -n '__margay_in get' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_place 0 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config" get' -a 'workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer'
complete -c margay -n '__margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config" get' -a '(__margay_live)'
complete -c margay -n '__margay_in config' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in config' -s n -l node -r -a '(__margay_live)' -d 'Node whose value is meant; without it the value of the whole cluster.'
complete -c margay -n '__margay_in config' -l raw -r -a 'bgp felix' -d 'Take NAME as a parameter of this component, and any VALUE without a check.'
complete -c margay -n '__margay_in config' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_place 0 "-n --node --raw -c --config" config' -a set
complete -c margay -n '__margay_place 0 "-n --node --raw -c --config" config' -a unset
complete -c margay -n '__margay_place 0 "-n --node --raw -c --config" config' -a get
complete -c margay -n '__margay_place 1 "-n --node --raw -c --config" config' -a 'logLevel nodeToNodeMesh asNumber ipip'
complete -c margay -n '__margay_in ipam release' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in ipam release' -l ip -r -d 'The address to release.'
complete -c margay -n '__margay_in ipam release' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in ipam show' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in ipam show' -l ip -r -d 'The address to look up.'
complete -c margay -n '__margay_in ipam show' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in node run' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in node run' -l name -r -d 'Name of the node; the host name if left out.'
complete -c margay -n '__margay_in node run' -l as -r -d 'AS number of the node, plain or dotted. If left out, that of the node resource, then that of the cluster.'
complete -c margay -n '__margay_in node run' -l ip -r -a 'autodetect' -d 'IPv4 address that the node routes with, or \'autodetect\' to look for one at every start. If left out, that of the node resource; without one, it is looked for once.'
complete -c margay -n '__margay_in node run' -l ip6 -r -a 'autodetect' -d 'IPv6 address that the node routes with, or \'autodetect\'. If left out, that of the node resource; without one, IPv6 is not routed.'
complete -c margay -n '__margay_in node run' -l ip-autodetection-method -r -a 'first-found can-reach= interface= skip-interface=' -d 'How to look for the IPv4 address: first-found, can-reach=DESTINATION, interface=REGEX,... or skip-interface=REGEX,...'
complete -c margay -n '__margay_in node run' -l ip6-autodetection-method -r -a 'first-found can-reach= interface= skip-interface=' -d 'How to look for the IPv6 address; the same methods.'
complete -c margay -n '__margay_in node run' -l log-dir -r -F -d 'Directory of the Calico logs.'
complete -c margay -n '__margay_in node run' -l node-image -r -d 'Image of the container.'
complete -c margay -n '__margay_in node run' -l backend -r -a 'bird gobgp none' -d 'What distributes routes; with none the node only enforces policy.'
complete -c margay -n '__margay_in node run' -l dryrun -d 'Print the command that would run, and run nothing.'
complete -c margay -n '__margay_in node run' -l init-system -d 'Run the container in the way that suits an init system.'
complete -c margay -n '__margay_in node run' -l no-default-ippools -d 'Do not create the default pools. Without this they are created if there is no pool at all.'
complete -c margay -n '__margay_in node run' -l disable-docker-networking -d 'Leave the networks of Docker alone.'
complete -c margay -n '__margay_in node run' -l docker-networking-ifprefix -r -d 'Prefix of the interface names inside containers on a Docker network.'
complete -c margay -n '__margay_in node run' -l use-docker-networking-container-labels -d 'Select the policy of Docker containers by their labels instead of by profiles.'
complete -c margay -n '__margay_in node run' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in node status' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in node diags' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in node diags' -l log-dir -r -F -d 'Directory of the Calico logs.'
complete -c margay -n '__margay_in node checksystem' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in version' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in version' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in validate' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in validate' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in validate' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in diff' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in diff' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c margay -n '__margay_in diff' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in explain-field' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_place 0 "" explain-field' -a 'workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer'
complete -c margay -n '__margay_in datastore export' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in datastore export' -s f -l filename -r -F -d 'File to write; "-" writes stdout.'
complete -c margay -n '__margay_in datastore export' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in datastore import' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in datastore import' -s f -l filename -r -F -d 'File to read; "-" reads stdin.'
complete -c margay -n '__margay_in datastore import' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c margay -n '__margay_in datastore copy' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_in datastore copy' -l from -r -F -d 'Datastore to read.'
complete -c margay -n '__margay_in datastore copy' -l to -r -F -d 'Datastore to write.'
complete -c margay -n '__margay_in completions' -s h -l help -d 'Show this screen.'
complete -c margay -n '__margay_place 0 "" completions' -a 'bash zsh fish'

complete -c calicoctl -f
complete -c calicoctl -n __margay_start -a create -d 'Create a resource by filename or stdin.'
complete -c calicoctl -n __margay_start -a replace -d 'Replace a resource by filename or stdin.'
complete -c calicoctl -n __margay_start -a apply -d 'Apply a resource by filename or stdin. This creates a resource if it does not exist, and replaces a resource if it does exists.'
complete -c calicoctl -n __margay_start -a delete -d 'Delete a resource identified by file, stdin or resource type and name.'
complete -c calicoctl -n __margay_start -a get -d 'Get a resource identified by file, stdin or resource type and name.'
complete -c calicoctl -n __margay_start -a config -d 'Manage system-wide and low-level node configuration options.'
complete -c calicoctl -n __margay_start -a ipam -d 'IP address management.'
complete -c calicoctl -n __margay_start -a node -d 'Calico node management.'
complete -c calicoctl -n __margay_start -a version -d 'Display the version of calicoctl.'
complete -c calicoctl -n '__margay_group ipam' -a release -d 'Release a Calico assigned IP address.'
complete -c calicoctl -n '__margay_group ipam' -a show -d 'Show details of a Calico assigned IP address.'
complete -c calicoctl -n '__margay_group node' -a run -d 'Run the Calico node container image.'
complete -c calicoctl -n '__margay_group node' -a status -d 'View the current status of a Calico node.'
complete -c calicoctl -n '__margay_group node' -a diags -d 'Gather a diagnostics bundle for a Calico node.'
complete -c calicoctl -n '__margay_group node' -a checksystem -d 'Verify the compute host is able to run a Calico node instance.'
complete -c calicoctl -n '__margay_in create' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in create' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c calicoctl -n '__margay_in create' -l skip-exists -d 'Count a resource that exists already as created, and leave it as it is.'
complete -c calicoctl -n '__margay_in create' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in replace' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in replace' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c calicoctl -n '__margay_in replace' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in apply' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in apply' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c calicoctl -n '__margay_in apply' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in delete' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in delete' -s s -l skip-not-exists -d 'Count a resource that does not exist as deleted.'
complete -c calicoctl -n '__margay_in delete' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c calicoctl -n '__margay_in delete' -s n -l node -r -a '(__margay_live)' -d 'Node of the resource: its host name, unless the node was given another name.'
complete -c calicoctl -n '__margay_in delete' -l orchestrator -r -a 'k8s libnetwork openstack cni' -d 'Orchestrator of a workload endpoint.'
complete -c calicoctl -n '__margay_in delete' -l workload -r -d 'Workload of a workload endpoint.'
complete -c calicoctl -n '__margay_in delete' -l scope -r -a 'global node' -d 'Scope of a BGP peer: global, or node for a peer of one node.'
complete -c calicoctl -n '__margay_in delete' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_place 0 "-f --filename -n --node --orchestrator --workload --scope -c --config" delete' -a 'workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer'
complete -c calicoctl -n '__margay_place 1 "-f --filename -n --node --orchestrator --workload --scope -c --config" delete' -a '(__margay_live)'
complete -c calicoctl -n '__margay_in get' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in get' -s f -l filename -r -F -d 'File with the resources, YAML or JSON; "-" reads stdin.'
complete -c calicoctl -n '__margay_in get' -s o -l output -r -a 'ps wide yaml json custom-columns= go-template= go-template-file=' -d 'Output format: ps, wide, yaml, json, custom-columns=..., go-template=... or go-template-file=...'
complete -c calicoctl -n '__margay_in get' -s n -l node -r -a '(__margay_live)' -d 'Node of the resource: its host name, unless the node was given another name.'
complete -c calicoctl -n '__margay_in get' -l orchestrator -r -a 'k8s libnetwork openstack cni' -d 'Orchestrator of a workload endpoint.'
complete -c calicoctl -n '__margay_in get' -l workload -r -d 'Workload of a workload endpoint.'
complete -c calicoctl -n '__margay_in get' -l scope -r -a 'global node' -d 'Scope of a BGP peer: global, or node for a peer of one node.'
complete -c calicoctl -n '__margay_in get' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_place 0 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config" get' -a 'workloadEndpoint hostEndpoint profile policy ipPool node bgpPeer'
complete -c calicoctl -n '__margay_place 1 "-f --filename -o --output -n --node --orchestrator --workload --scope -c --config" get' -a '(__margay_live)'
complete -c calicoctl -n '__margay_in config' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in config' -s n -l node -r -a '(__margay_live)' -d 'Node whose value is meant; without it the value of the whole cluster.'
complete -c calicoctl -n '__margay_in config' -l raw -r -a 'bgp felix' -d 'Take NAME as a parameter of this component, and any VALUE without a check.'
complete -c calicoctl -n '__margay_in config' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_place 0 "-n --node --raw -c --config" config' -a set
complete -c calicoctl -n '__margay_place 0 "-n --node --raw -c --config" config' -a unset
complete -c calicoctl -n '__margay_place 0 "-n --node --raw -c --config" config' -a get
complete -c calicoctl -n '__margay_place 1 "-n --node --raw -c --config" config' -a 'logLevel nodeToNodeMesh asNumber ipip'
complete -c calicoctl -n '__margay_in ipam release' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in ipam release' -l ip -r -d 'The address to release.'
complete -c calicoctl -n '__margay_in ipam release' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in ipam show' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in ipam show' -l ip -r -d 'The address to look up.'
complete -c calicoctl -n '__margay_in ipam show' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in node run' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in node run' -l name -r -d 'Name of the node; the host name if left out.'
complete -c calicoctl -n '__margay_in node run' -l as -r -d 'AS number of the node, plain or dotted. If left out, that of the node resource, then that of the cluster.'
complete -c calicoctl -n '__margay_in node run' -l ip -r -a 'autodetect' -d 'IPv4 address that the node routes with, or \'autodetect\' to look for one at every start. If left out, that of the node resource; without one, it is looked for once.'
complete -c calicoctl -n '__margay_in node run' -l ip6 -r -a 'autodetect' -d 'IPv6 address that the node routes with, or \'autodetect\'. If left out, that of the node resource; without one, IPv6 is not routed.'
complete -c calicoctl -n '__margay_in node run' -l ip-autodetection-method -r -a 'first-found can-reach= interface= skip-interface=' -d 'How to look for the IPv4 address: first-found, can-reach=DESTINATION, interface=REGEX,... or skip-interface=REGEX,...'
complete -c calicoctl -n '__margay_in node run' -l ip6-autodetection-method -r -a 'first-found can-reach= interface= skip-interface=' -d 'How to look for the IPv6 address; the same methods.'
complete -c calicoctl -n '__margay_in node run' -l log-dir -r -F -d 'Directory of the Calico logs.'
complete -c calicoctl -n '__margay_in node run' -l node-image -r -d 'Image of the container.'
complete -c calicoctl -n '__margay_in node run' -l backend -r -a 'bird gobgp none' -d 'What distributes routes; with none the node only enforces policy.'
complete -c calicoctl -n '__margay_in node run' -l dryrun -d 'Print the command that would run, and run nothing.'
complete -c calicoctl -n '__margay_in node run' -l init-system -d 'Run the container in the way that suits an init system.'
complete -c calicoctl -n '__margay_in node run' -l no-default-ippools -d 'Do not create the default pools. Without this they are created if there is no pool at all.'
complete -c calicoctl -n '__margay_in node run' -l disable-docker-networking -d 'Leave the networks of Docker alone.'
complete -c calicoctl -n '__margay_in node run' -l docker-networking-ifprefix -r -d 'Prefix of the interface names inside containers on a Docker network.'
complete -c calicoctl -n '__margay_in node run' -l use-docker-networking-container-labels -d 'Select the policy of Docker containers by their labels instead of by profiles.'
complete -c calicoctl -n '__margay_in node run' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
complete -c calicoctl -n '__margay_in node status' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in node diags' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in node diags' -l log-dir -r -F -d 'Directory of the Calico logs.'
complete -c calicoctl -n '__margay_in node checksystem' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in version' -s h -l help -d 'Show this screen.'
complete -c calicoctl -n '__margay_in version' -s c -l config -r -F -d 'File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.'
