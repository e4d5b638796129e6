#!/bin/sh
# Makes a coordinator and two phantom hospitals, ready to start: demo-setup.sh FOLDER [NAME [PORT]]
# Sites reach the coordinator by NAME. Run again, it keeps what is there and approves new code.
#
# All keys in one place, and approvals without a look at the code: for a demonstration only.
set -eu
umask 077
folder=${1:?name the folder in which the demo is made}
name=${2:-server}
port=${3:-8443}

export FEDTHAW_COORDINATOR="$folder/coordinator"
if [ ! -e "$FEDTHAW_COORDINATOR/server.json" ]; then
    fedthaw server init --name "$name" --port "$port"
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for site in north east; do
    data="$folder/$site/data"
    export FEDTHAW_SITE_HOME="$folder/$site/home"
    mkdir -p "$data"
    if [ ! -e "$data/site.toml" ]; then
        if [ ! -e "$scratch/$site" ]; then
            fedthaw site phantoms "$scratch" --image-side 128
        fi
        # The site reads its data only; without this line its cache lies where FEDTHAW_CACHE says.
        sed '/^cache = /d' "$scratch/$site/site.toml" > "$scratch/site.toml"
        rm "$scratch/$site/site.toml"
        cp -R "$scratch/$site/." "$data"
        cp "$scratch/site.toml" "$data/site.toml" # last: it says that the data is complete
    fi
    fedthaw server invite "$site"
    fedthaw site init "$data" --invitation "$FEDTHAW_COORDINATOR/invitations/$site.json"
    fedthaw server register "$site" "$FEDTHAW_SITE_HOME/key.pub"
    fedthaw site approve "$data" --installed --any-settings-within-policy
done
