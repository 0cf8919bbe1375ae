/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asked_blobs - which blobs somebody was told of lately ("it is there", without sending it), so that they are not collected before the manifest
 * that names them has come.
 *
 * Two filters of ASKED_BYTES each that change places each `keep`: an entry counts for `keep` at least and twice that at most. It may say of a few
 * that nobody asked for that somebody did: these stay a while longer. Bounded whatever is asked for.
 *
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "proto/digest.h"

#define ASKED_BYTES (1024u * 1024)

struct asked_blobs;
struct asked_blobs *asked_blobs_new(int64_t keep_ms);
void asked_blobs_free(struct asked_blobs *asked);
AUTO_DEFINE(asked_blobs)
/* now_ms: clock_ms(). */
void asked_blobs_add(struct asked_blobs *asked, struct str name, const struct digest *digest, int64_t now_ms);
bool asked_blobs_has(struct asked_blobs *asked, struct str name, const struct digest *digest, int64_t now_ms);
