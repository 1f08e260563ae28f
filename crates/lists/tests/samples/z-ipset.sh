#!/bin/sh
ipset create -exist blocked hash:ip
ipset add blocked 192.0.2.1 -exist
ipset -! add blocked 192.0.2.2 timeout 60
