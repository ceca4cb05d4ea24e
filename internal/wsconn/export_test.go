package wsconn

// Turn is what goodbyes wait for.
var Turn = &turn
