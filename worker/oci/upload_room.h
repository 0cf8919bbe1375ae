/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_room - bytes that could never become a part of a repository with a byteQuota are refused before they move.
 *
 *     POST, nothing known          refused where the repository holds its quota
 *     POST ?mount=                 what is counted or there already passes; else the size of the blob must fit
 *     PATCH, PUT with a length     what the session has and the body: see repository_limits_allow_blob()
 *     end of the session           in upload_finish.c, where digest and size are known
 *
 * What a repository holds is exact only where a manifest is written (repository_limits.h); this spares the bytes on the way there.
 * Thread  the call's loop.
 */
#pragma once

#include <stdint.h>

struct digest;
struct oci_call;
struct upload;

/* There is room. upload: as it was given. */
typedef void upload_room_f(struct oci_call *call, struct upload *upload);
/* Runs then() at once where no bytes are counted, else when the pool has looked; not at all where it is refused, which is the reply and
 * the end of the session, or where the request has ended: then the session goes on.
 * upload: held, or NULL. digest: NULL where it is not known. bytes: that the blob has at least. */
void upload_room_ask(struct oci_call *call, struct upload *upload, const struct digest *digest, uint64_t bytes, upload_room_f *then);
