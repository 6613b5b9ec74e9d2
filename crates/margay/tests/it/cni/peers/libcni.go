// The CNI project's own library as a program, for CHECK, which no runtime sends: libcni add|check|del NETWORK NETNS.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	env, ctx := os.Getenv, context.Background()
	list, err := libcni.LoadConfList(env("NETCONFPATH"), os.Args[2])
	fail(err)
	runtime := &libcni.RuntimeConf{ContainerID: env("CNI_CONTAINERID"), NetNS: os.Args[3], IfName: "eth0"}
	for _, pair := range strings.Split(env("CNI_ARGS"), ";") {
		if parts := strings.SplitN(pair, "=", 2); len(parts) == 2 {
			runtime.Args = append(runtime.Args, [2]string{parts[0], parts[1]})
		}
	}
	if capabilities := env("CAP_ARGS"); capabilities != "" {
		fail(json.Unmarshal([]byte(capabilities), &runtime.CapabilityArgs))
	}
	cni := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(env("CNI_PATH")), env("CNI_CACHE"), nil)
	switch os.Args[1] {
	case "add":
		result, err := cni.AddNetworkList(ctx, list, runtime)
		fail(err)
		fail(result.Print())
	case "check":
		fail(cni.CheckNetworkList(ctx, list, runtime))
	case "del":
		fail(cni.DelNetworkList(ctx, list, runtime))
	}
}
