/* SPDX-License-Identifier: Apache-2.0 */
/*
 * would - a dry run of what removes or changes something: who is given one tells each thing that it would take, and leaves it as it is.
 *
 * NULL in its place: it is done.   Thread  the caller's.
 */
#pragma once

struct would {
	void (*tell)(void *arg, const char *what); /* a path, a key, a name: borrowed for the call, and not to be trusted */
	void *arg;
};

static inline void would_tell(const struct would *would, const char *what)
{
	would->tell(would->arg, what);
}
