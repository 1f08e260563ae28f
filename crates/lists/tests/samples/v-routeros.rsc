# 2026-11-27 10:00:00 by RouterOS 7.16
/ip firewall address-list
add address=192.0.2.1 comment="ssh; brute" list=bad timeout=1d2h
add address=198.51.100.0/24 list=\
    bad
add address=192.0.2.5 list=office
/ip firewall filter
add action=accept chain=input src-address-list=office
add action=drop chain=input src-address-list=bad
