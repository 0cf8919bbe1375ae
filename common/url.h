/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url - is what somebody wrote into the settings an address that can be called?
 *
 * Source  RFC 3986, 3.2 and 3.3, as far as servers are concerned: no user, no fragment.
 * Thread  any; pure.
 */
#pragma once

#include "common/str.h"

/* host, host:port, [v6], [v6]:port; port 1 to 65535. */
bool url_is_authority(struct str text);
/* http:// or https://, an authority, and maybe a path. */
bool url_is_base(struct str text);
/* The same, and maybe a query behind it: one that is called as it is. */
bool url_is_call(struct str text);
/* Scheme and authority of such a one: what may be shown of it, since path and query of some are secrets. */
struct str url_origin(struct str text);
/* Without the slashes at its end, so that a path may follow. */
struct str url_without_end(struct str text);
