"""RNN."""
def lstm(mode, func, args, kwargs):
    return func(*args, **kwargs)
gru = rnn_tanh = rnn_relu = lstm
