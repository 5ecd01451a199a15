// Command edge stands where Envoy stands in deploy/kubernetes: it puts Coraza with the OWASP core rule set before an
// upstream. The directives of the manifest come on standard input; refuses to start where Coraza refuses one of them.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	corazahttp "github.com/corazawaf/coraza/v3/http"
	"github.com/corazawaf/coraza/v3/types"
)

// What the image for Envoy calls the files it carries, and what the rule set's own package calls them.
var carried = strings.NewReplacer(
	"@recommended-conf", "@coraza.conf-recommended",
	"@crs-setup-conf", "@crs-setup.conf.example",
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: edge UPSTREAM < DIRECTIVES")
	}
	upstream, err := url.Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	directives, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().
		WithRootFS(coreruleset.FS).
		WithDirectives(carried.Replace(string(directives))).
		WithErrorCallback(func(rule types.MatchedRule) {
			log.Printf("rule %d %s: %s [%s]", rule.Rule().ID(), rule.URI(), rule.Message(), rule.Data())
		}))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	log.Fatal(http.Serve(listener, corazahttp.WrapHandler(waf, to(upstream))))
}

// Answers are handed on as they come; the host stays what the client asked for.
func to(upstream *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(upstream)
			request.SetXForwarded()
			request.Out.Host = request.In.Host
		},
	}
}
