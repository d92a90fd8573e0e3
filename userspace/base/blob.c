// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/blob.h"

#include <errno.h>
#include <string.h>

static uint64_t checksum(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

int blob_seal(struct buf *b, size_t begin)
{
	uint64_t sum = checksum(b->data + begin, b->len - begin);

	return buf_add(b, &sum, sizeof(sum));
}

int blob_open(const void *data, size_t len, struct blob_reader *ret)
{
	uint64_t sum;

	if (len < sizeof(sum))
		return -EINVAL;
	memcpy(&sum, (const char *)data + len - sizeof(sum), sizeof(sum));
	if (sum != checksum(data, len - sizeof(sum)))
		return -EINVAL;
	*ret = (struct blob_reader){ data, len - sizeof(sum) };
	return 0;
}

bool blob_take(struct blob_reader *r, void *to, size_t len)
{
	if (r->left < len)
		return false;
	memcpy(to, r->at, len);
	r->at += len;
	r->left -= len;
	return true;
}
