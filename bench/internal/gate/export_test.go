package gate

// What reads a gateway's log.
var (
	Serving = serving
	Live    = live
)
