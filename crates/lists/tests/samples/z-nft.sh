#!/bin/sh
nft add element inet filter blocked "{ 192.0.2.1, 192.0.2.2 timeout 1h }"
nft add element inet filter blocked { 192.0.2.3 }
