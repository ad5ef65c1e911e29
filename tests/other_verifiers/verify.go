// Reads lines "<list.pem> <chain.pem>" and prints, for each, "accepted" or "refused: <why>", as crypto/x509 decides.
// A line without a chain only parses the list, certificate by certificate, as istiod does.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"
)

func certificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
}

func judge(line string) error {
	files := strings.Fields(line)
	list, err := certificates(files[0])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	for _, certificate := range list {
		if !certificate.IsCA {
			return fmt.Errorf("not a CA")
		}
		roots.AddCert(certificate)
	}
	if len(files) == 1 {
		return nil
	}
	chain, err := certificates(files[1])
	if err != nil {
		return err
	}
	sent := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		sent.AddCert(certificate)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: sent,
		CurrentTime:   time.Unix(1796083200, 0),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := judge(lines.Text()); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
}
