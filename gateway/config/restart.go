package config

import "reflect"

// NeedsRestart returns the keys in which the two differ and whose values hold for
// as long as a gateway runs.
func (c *Config) NeedsRestart(other *Config) []string {
	return differing(reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem(), "")
}

func differing(a, b reflect.Value, prefix string) (keys []string) {
	for f, v := range a.Fields() {
		w, key := b.FieldByIndex(f.Index), prefix+f.Tag.Get("yaml")
		switch {
		case f.Tag.Get("restart") == "":
			if v.Kind() == reflect.Struct {
				keys = append(keys, differing(v, w, key+".")...)
			}
		case !reflect.DeepEqual(v.Interface(), w.Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}
