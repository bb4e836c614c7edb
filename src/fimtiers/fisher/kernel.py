"""A compiled kernel for few tokens per sample; see `outer_squares`."""



def suits(left, right):
    return False


def suits_window(fixed, source, samples):
    return False
