"""The verbs: take events in, plan what to send, deliver it, and tell how it goes."""
