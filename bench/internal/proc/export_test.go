package proc

// What reads the texts of /proc.
var (
	ParseField = parseField
	ParseTimes = parseTimes
)

func ParseStat(text string) (pid, group int, state string, err error) {
	s, err := parseStat(text)
	return s.pid, s.group, s.state, err
}
