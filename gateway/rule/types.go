package rule

import (
	"maps"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The types of the variables, as CEL calls them in its messages.
var (
	identityType = types.NewObjectType("Identity")
	requestType  = types.NewObjectType("Request")
	messageType  = types.NewObjectType("Message")
)

// fields holds what the variables have to offer, by type.
var fields = map[string]map[string]*types.FieldType{
	identityType.TypeName(): {
		"issuer":     text(func(i *identity) string { return i.Issuer }),
		"subject":    text(func(i *identity) string { return i.Subject }),
		"session_id": text(func(i *identity) string { return i.SessionID }),
		"token_id":   text(func(i *identity) string { return i.TokenID }),
		"client_id":  text(func(i *identity) string { return i.ClientID }),
		"scopes": field(types.NewListType(types.StringType),
			func(i *identity) bool { return len(i.Scopes) > 0 },
			func(i *identity) (any, error) { return i.Scopes, nil }),
		"issued_at":  moment("issued_at", func(i *identity) time.Time { return i.IssuedAt }),
		"expires_at": moment("expires_at", func(i *identity) time.Time { return i.ExpiresAt }),
		"claims": field(types.NewMapType(types.StringType, types.DynType),
			func(i *identity) bool { return i.claims().any() },
			func(i *identity) (any, error) { return i.claims(), nil }),
	},
	requestType.TypeName(): {
		"method": text(func(r *request) string { return r.Method }),
		"host":   text((*request).host),
		"path":   text(func(r *request) string { return r.URL.Path }),
		"query":  text(func(r *request) string { return r.URL.RawQuery }),
		"headers": field(types.NewMapType(types.StringType, types.StringType),
			func(r *request) bool { return r.headers().any() },
			func(r *request) (any, error) { return r.headers(), nil }),
	},
	messageType.TypeName(): {
		"type": text((*message).kind),
		"size": field(types.IntType, always, func(m *message) (any, error) { return types.Int(len(m.payload)), nil }),
		"text": field(types.StringType, func(m *message) bool { return m.isText }, (*message).text),
		"json": field(types.DynType, always, (*message).json), // CompileMessage refuses has(message.json)
	},
}

func always(*message) bool { return true }

// field describes a field of the variable that holds a *T.
func field[T any](t *types.Type, isSet func(*T) bool, get func(*T) (any, error)) *types.FieldType {
	return &types.FieldType{
		Type: t,
		IsSet: func(target any) bool {
			v, ok := target.(*T)
			return ok && isSet(v)
		},
		GetFrom: func(target any) (any, error) {
			v, ok := target.(*T)
			if !ok {
				return nil, errType
			}
			return get(v)
		},
	}
}

func text[T any](get func(*T) string) *types.FieldType {
	return field(types.StringType,
		func(v *T) bool { return get(v) != "" },
		func(v *T) (any, error) { return types.String(get(v)), nil })
}

// moment describes a time of the identity. A time that the token doesn't state
// is no time: were it the year 1, a rule that asks for an old one would be true.
func moment(name string, get func(*identity) time.Time) *types.FieldType {
	return field(types.TimestampType,
		func(i *identity) bool { return !get(i).IsZero() },
		func(i *identity) (any, error) {
			t := get(i)
			if t.IsZero() {
				return nil, &unstatedError{field: name}
			}
			return types.Timestamp{Time: t}, nil
		})
}

// A provider adds the types of the variables to those of CEL.
type provider struct{ types.Provider }

var _ types.Provider = provider{}

// FindStructType returns the type of that name.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	switch name {
	case identityType.TypeName():
		return types.NewTypeTypeWithParam(identityType), true
	case requestType.TypeName():
		return types.NewTypeTypeWithParam(requestType), true
	case messageType.TypeName():
		return types.NewTypeTypeWithParam(messageType), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames returns the names of the fields of a type.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if known, ok := fields[name]; ok {
		return slices.Sorted(maps.Keys(known)), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType returns the type of a field.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	if known, ok := fields[name]; ok {
		f, ok := known[fieldName]
		return f, ok
	}
	return p.Provider.FindStructFieldType(name, fieldName)
}

// NewValue refuses to make values of our types: nobody makes up an identity.
func (p provider) NewValue(name string, values map[string]ref.Val) ref.Val {
	if _, ok := fields[name]; ok {
		return types.NewErr("no such type")
	}
	return p.Provider.NewValue(name, values)
}
