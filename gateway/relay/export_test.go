package relay

const (
	SettleMany  = settleMany
	SettleAfter = settleAfter
)

// A Settle is a settle.
type Settle struct{ settle }

func (s *Settle) Opened() { s.opened() }

func (s *Settle) Close() { s.close() }
