/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_page - which part of a list is asked for (?n= and ?last=), and the Link to the next one.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define OCI_LAST_MAX 1024

struct oci_page {
	size_t n; /* at most so many */
	bool has_n, has_last;
	char last[OCI_LAST_MAX + 1]; /* exclusive */
};
/* Without ?n= (or over n_max): n_max. ERROR_INVALID: repeated, not a number, too long. */
bool oci_page_parse(struct str query, size_t n_max, struct oci_page *ret, struct error *err) MUST_CHECK;
/* </path?n=..&last=..>; rel="next"; `more` is put behind, "&a=b" (already escaped), or "". */
void oci_page_link(struct str path, size_t n, struct str last, const char *more, struct buf *into);
