//go:build hold

package verify

import _ "github.com/maypok86/otter/v2"
