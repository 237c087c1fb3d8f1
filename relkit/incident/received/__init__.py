"""Packets of incidents as those read and check them who receive one."""
