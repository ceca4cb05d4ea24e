package flight_test

import (
	"context"
	"fmt"

	"github.com/portcullis-auth/portcullis/internal/flight"
)

func Example() {
	var g flight.Group[string, int]
	length, shared, err := g.Do(context.Background(), "word", func(ctx context.Context) (int, error) {
		return len("word"), ctx.Err() // a call to somewhere far away
	})
	fmt.Println(length, shared, err)
	// Output: 4 false <nil>
}
