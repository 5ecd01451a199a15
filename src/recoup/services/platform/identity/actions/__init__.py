"""What people do with their sign-ins, passwords, second factors, letters and places."""
