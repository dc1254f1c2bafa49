"""The fault campaign: a user's afternoon, lived again with one fault at each side effect it has.

plans     which faults at which effects, by ids such as `a:load:sql@3f9c1a7d20b4:1:lost-reply`
effects   what counts as a side effect, and its name
wire      stands between two processes and does the fault
pod       one replica: a real agent, a simulated engine, and somebody who plays its kubelet
life      one namespace, its operators and its user
invariants  what must hold in every sample
report    what became of each plan
"""
