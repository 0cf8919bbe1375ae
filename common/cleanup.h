/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup - ownership said in the declaration.
 *
 *     AUTO(pipe) *pipe = pipe_new(loop, 64 * 1024);   owned here, freed on every way out
 *     *ret_pipe = TAKE(pipe);                         owned by the caller from here
 *
 * An owned local is always initialised. Whatever is neither AUTO nor TAKEn is a borrow.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO(noun) __attribute__((cleanup(noun##_auto))) struct noun
#define AUTO_DEFINE(noun) \
	static inline void noun##_auto(struct noun **p) { noun##_free(*p); }
/* For plain values that are embedded: AUTO_FINI(buf) b = ...; runs buf_fini(&b). */
#define AUTO_FINI(noun) __attribute__((cleanup(noun##_fini))) struct noun
#define TAKE(p) __extension__({ __typeof__(p) take_ = (p); (p) = NULL; take_; })
#define TAKE_FD(fd) __extension__({ int take_ = (fd); (fd) = -1; take_; })

#define AUTO_STR __attribute__((cleanup(cleanup_str))) char
#define AUTO_FD __attribute__((cleanup(cleanup_fd))) int

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

static inline void cleanup_str(char **p) { free(*p); }
static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
